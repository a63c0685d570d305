package replica

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
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
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxEntry), zstd.WithDecoderMaxWindow(MaxEntry))
	if err != nil {
		panic(err)
	}
	return d
})

// pack compresses a body if that makes it smaller, in two frames that part at
// cut: what is before and behind is so unlike that it compresses better apart.
func pack(body []byte, cut int) (codec byte, packed []byte) {
	if len(body) < minPack {
		return codecPlain, body
	}
	var z []byte
	if cut < len(body) {
		z = packers().text.EncodeAll(body[cut:], packers().text.EncodeAll(body[:cut], nil))
	} else {
		z = packers().any.EncodeAll(body, nil)
	}
	if len(z) < len(body) {
		return codecZstd, z
	}
	return codecPlain, body
}

func unpack(codec byte, body []byte) ([]byte, error) {
	switch codec {
	case codecPlain:
		return body, nil
	case codecZstd:
		return unpacker().DecodeAll(body, nil)
	}
	return nil, fmt.Errorf("unknown codec %d", codec)
}
