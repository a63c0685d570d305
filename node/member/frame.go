package member

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// A member stream carries frames, both ways:
//
//	frame := uvarint len(rest) ‖ rest;  rest := type 1 ‖ payload
//
//	hello    version 1 ‖ network 32 ‖ nonce 16      the opener begins
//	welcome  nonce 16 ‖ proof 32
//	show     proof 32 ‖ records                     the opener's chain
//	join     proof 32 ‖ request                     or its request
//	admit    time 8 ‖ records                       chains of both
//	refuse   reason 1 ‖ time 8                      at any time; the stream ends
//	digest   BLAKE3 over the sorted ids 32
//	ids      n × id 16, ascending                   answer to an unequal digest
//	records  n × (uvarint len ‖ record)             each after what it hangs on
//
//	opener        other
//	│─── hello ────►│  refuse, if it is of another network
//	│◄── welcome ───│
//	│ show or join ►│  here a stranger ends: refuse
//	│◄─── admit ────│  the opener ends it here if the other is no member
//	│◄── digest ───►│
//	│◄─── ids ─────►│  if unequal
//	│◄── records ──►│  what the other lacks; from then on, whatever is new
//
// A proof shows that a side knows the genesis, and binds it to this stream:
// BLAKE3, keyed with a key derived from the genesis, over side 1 ‖ both nonces ‖
// both keys. So one who has neither a token nor a membership sees nothing but a
// welcome, and costs two hashes: what it shows is not looked at.
const (
	frameHello   = 1
	frameWelcome = 2
	frameShow    = 3
	frameJoin    = 4
	frameAdmit   = 5
	frameRefuse  = 6
	frameDigest  = 7
	frameIDs     = 8
	frameRecords = 9
)

const (
	streamVersion = 1
	proofSize     = 32
	nonceSize     = 16

	maxHello = 128                   // before the other has shown that it knows the network
	maxIntro = maxChainBytes + 1<<10 // before one is admitted
	maxFrame = maxSet*16 + 1<<10
	// batchBytes is how much a records frame gathers.
	batchBytes = 128 << 10
)

// readFrame reads one frame of at most limit bytes.
func readFrame(r *bufio.Reader, limit uint64) (kind byte, payload []byte, err error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 || n > limit {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes, at most %d", ErrMalformed, n, limit)
	}
	// The buffer grows with what has come, not with what was promised.
	const step = 16 << 10
	var buf []byte
	for uint64(len(buf)) < n {
		at := len(buf)
		buf = append(buf, make([]byte, min(n-uint64(at), max(step, uint64(at))))...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return 0, nil, err
		}
	}
	return buf[0], buf[1:], nil
}

func frame(kind byte, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	b := append(binary.AppendUvarint(make([]byte, 0, n+4), uint64(n)), kind)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// message is a decoded frame; which fields are set depends on its kind.
type message struct {
	kind    byte
	version byte
	network NetworkID
	nonce   [nonceSize]byte
	proof   [proofSize]byte
	digest  [32]byte
	reason  Reason
	time    uint64
	request *Request
	ids     []ID
	records []*Record
}

func decodeMessage(kind byte, payload []byte) (m message, err error) {
	r := &reader{b: payload}
	m.kind = kind
	switch kind {
	case frameHello:
		if m.version = r.byte(); m.version != streamVersion {
			return m, nil // what else it says is not ours to read
		}
		r.fixed(m.network[:])
		r.fixed(m.nonce[:])
	case frameWelcome:
		r.fixed(m.nonce[:])
		r.fixed(m.proof[:])
	case frameShow:
		r.fixed(m.proof[:])
		m.records, err = decodeRecords(r)
	case frameJoin:
		r.fixed(m.proof[:])
		m.request, err = parseRequest(r.bytes(len(r.b)))
	case frameAdmit:
		m.time = r.time()
		m.records, err = decodeRecords(r)
	case frameRefuse:
		m.reason, m.time = Reason(r.byte()), r.time()
		m.records, err = decodeRecords(r)
	case frameDigest:
		r.fixed(m.digest[:])
	case frameIDs:
		m.ids = r.allIDs()
	case frameRecords:
		m.records, err = decodeRecords(r)
	default:
		r.fail("frame of kind %d", kind)
	}
	if err == nil {
		err = r.end()
	}
	return m, err
}

// allIDs reads ascending ids to the end.
func (r *reader) allIDs() []ID {
	n := len(r.b) / len(ID{})
	if n > maxSet {
		r.fail("%d ids", n)
		return nil
	}
	ids := make([]ID, n)
	for i := range ids {
		r.fixed(ids[i][:])
		if i > 0 && compareIDs(ids[i-1], ids[i]) >= 0 {
			r.fail("ids out of order")
		}
	}
	return ids
}
