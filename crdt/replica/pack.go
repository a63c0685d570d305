package replica

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/numax-mesh/numax/crdt"
)

// Bodies, and the rows of a state, travel packed:
//
//	packed := codec 0: plain
//	          codec 1: uvarint len(plain) ‖ zstd frames, padded
//
// What packs better than one byte for maxExpansion is padded up to that, with a
// skippable frame of zeros: so what unpacking takes is bounded by what was sent. An
// op counts as opCharge bytes more: a few bits can make one, and what it becomes in
// memory and on disk is some hundred bytes.
const (
	maxExpansion = 16
	opCharge     = 32
)

// Bodies below minPack bytes are not worth a zstd frame.
const minPack = 200

// zstdWindow bounds what a decoder of our entries has to remember.
const zstdWindow = 256 << 10

// packers are the compressors for bodies in general, and for text, which is kept
// for long and comes slowly, as people type it: it is worth ten times the work.
// Both are made ready at once, by who comes first.
var packers = sync.OnceValue(func() (p struct{ any, text *zstd.Encoder }) {
	p.any, p.text = newPacker(zstd.SpeedDefault), newPacker(zstd.SpeedBestCompression)
	p.any.EncodeAll(nil, nil)
	p.text.EncodeAll(nil, nil)
	return p
})

func newPacker(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(MaxEntry), zstd.WithDecoderMaxWindow(MaxEntry))
	if err != nil {
		panic(err)
	}
	return d
})

// packBody packs the body of an entry.
func packBody(body []byte, cut int) (codec byte, packed []byte) {
	return pack(body, cut, charge(body))
}

// charge is what a body counts as.
func charge(body []byte) int { return len(body) + opCharge*int(crdt.BodyOps(body)) }

// unpackBody unpacks the body of an entry.
func unpackBody(codec byte, packed []byte) ([]byte, error) {
	body, err := unpack(codec, packed)
	if err == nil && charge(body) > maxExpansion*len(packed) {
		err = fmt.Errorf("%d ops in %d bytes", crdt.BodyOps(body), len(packed))
	}
	return body, err
}

// pack compresses bytes if that makes them smaller, in two frames that part at
// cut: what is before and behind is so unlike that it compresses better apart. It
// pads what counts as more than its length says.
func pack(body []byte, cut, counts int) (codec byte, packed []byte) {
	least := (counts + maxExpansion - 1) / maxExpansion
	if len(body) < minPack && len(body) >= least {
		return codecPlain, body
	}
	z := binary.AppendUvarint(nil, uint64(len(body)))
	if cut < len(body) {
		z = packers().text.EncodeAll(body[cut:], packers().text.EncodeAll(body[:cut], z))
	} else {
		z = packers().any.EncodeAll(body, z)
	}
	if z = pad(z, least); len(z) < len(body) || len(body) < least {
		return codecZstd, z
	}
	return codecPlain, body
}

// skippable begins a frame that zstd passes over: magic 4 ‖ length 4, both little-endian.
const skippable = 0x184d2a50

// pad makes z at least n bytes long.
func pad(z []byte, n int) []byte {
	if len(z) >= n {
		return z
	}
	zeros := max(n-len(z)-8, 0)
	z = binary.LittleEndian.AppendUint32(z, skippable)
	z = binary.LittleEndian.AppendUint32(z, uint32(zeros))
	return append(z, make([]byte, zeros)...)
}

// unpackedLen is how long a packed body says it is; an error if that is more than
// its bytes may become.
func unpackedLen(codec byte, packed []byte) (n, header int, err error) {
	switch codec {
	case codecPlain:
		return len(packed), 0, nil
	case codecZstd:
		n, w := binary.Uvarint(packed)
		if w <= 0 || n > MaxEntry || n > maxExpansion*uint64(len(packed)) {
			return 0, 0, fmt.Errorf("%d bytes that become %d: at most %d times as many, and %d", len(packed), n, maxExpansion, MaxEntry)
		}
		return int(n), w, nil
	}
	return 0, 0, fmt.Errorf("unknown codec %d", codec)
}

func unpack(codec byte, packed []byte) ([]byte, error) {
	n, header, err := unpackedLen(codec, packed)
	if err != nil || codec == codecPlain {
		return packed, err
	}
	plain, err := unpacker().DecodeAll(packed[header:], make([]byte, 0, n))
	if err == nil && len(plain) != n {
		err = fmt.Errorf("%d bytes, said to be %d", len(plain), n)
	}
	return plain, err
}
