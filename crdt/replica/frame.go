package replica

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// A sync stream carries frames, both ways:
//
//	frame := uvarint len(rest) ‖ rest;  rest := type 1 ‖ payload
//
//	hello     version 1 ‖ network 32             first frame of each side
//	datasets  n × id 16                          what the sender replicates
//	root      digest 16                          beacon over the shared datasets
//	digests   n × (id 16 ‖ digest 32)            answer to an unequal root
//	want      uvarint channel ‖ id 16 ‖ uvarint credit ‖ summary
//	          send me what this version lacks, at most credit bytes ahead
//	entry     uvarint channel ‖ entry            answer to a want, in causal order as far as clocks tell
//	done      uvarint channel                    that was all
//	credit    uvarint channel ‖ uvarint bytes    go on
//	heads     id 16 ‖ n × (author hash 16 ‖ id of the last entry 32)   where versions are equal and roots are not
//	head      id 16 ‖ signed header              the end of an author's log, where the peer has another
//	proof     id 16 ‖ proof                      an author forked its log
//	ask       uvarint channel ‖ id 16 ‖ uvarint credit   send me your whole state
//	state     uvarint channel ‖ manifest         the log that a want names is cut: here is the state
//	rows      uvarint channel ‖ rows             …
//	seal      uvarint channel ‖ seal             … to here; done follows
//	stop      uvarint channel                    send nothing more for this want
//	compare   id 16 ‖ version hash 32            what do you show at this version? (compare.go)
//	compared  id 16 ‖ version hash 32 ‖ content hash 32
//	starts    id 16 ‖ n × signed header          where logs begin, for a peer that may not have the state
//
//	A            B
//	│── root ───►│  equal: silence
//	│◄── want ───│  unequal: B says what it has
//	│── entry ──►│  …
//	│── done ───►│
//	│── want ───►│  if B's version had something A lacks
//
// A channel is numbered by the side that wants. An exchange that breaks off
// goes on where it was: the next want names what has come.
const (
	frameHello    = 1
	frameDatasets = 2
	frameRoot     = 3
	frameDigests  = 4
	frameWant     = 5
	frameEntry    = 6
	frameDone     = 7
	frameCredit   = 8
	frameHeads    = 9
	frameHead     = 10
	frameProof    = 11
	frameAsk      = 12
	frameState    = 13
	frameRows     = 14
	frameSeal     = 15
	frameStop     = 16
	frameStarts   = 17
	frameCompare  = 18
	frameCompared = 19
)

const (
	syncVersion = 1
	// rootSize is enough for a hash that is only ever compared: who can make
	// two logs of one root can as well say that they are equal.
	rootSize = 16
	maxFrame = MaxEntry + 16
	// MaxShared is the most datasets a peer may say it replicates.
	MaxShared = 4096
)

// readFrame reads one frame into a new buffer.
func readFrame(r *bufio.Reader) (kind byte, payload []byte, err error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 || n > maxFrame {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes", ErrMalformed, n)
	}
	// The buffer grows with what has come, not with what was promised.
	buf := make([]byte, 0, min(n, 64<<10))
	for uint64(len(buf)) < n {
		want := min(n-uint64(len(buf)), max(64<<10, uint64(len(buf))))
		at := len(buf)
		buf = append(buf, make([]byte, want)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return 0, nil, err
		}
	}
	return buf[0], buf[1:], nil
}

// frame encodes a frame of a kind; payload parts are concatenated.
func frame(kind byte, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	b := binary.AppendUvarint(make([]byte, 0, n+4), uint64(n))
	b = append(b, kind)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func uvarint(v uint64) []byte { return binary.AppendUvarint(nil, v) }

type wantFrame struct {
	channel uint64
	dataset DatasetID
	credit  uint64
	version summary
}

func (w wantFrame) encode() []byte {
	return frame(frameWant, uvarint(w.channel), w.dataset[:], uvarint(w.credit), w.version.append(nil))
}

func decodeWant(b []byte) (w wantFrame, err error) {
	r := reader{b: b}
	w.channel = r.uvarint()
	copy(w.dataset[:], r.bytes(len(w.dataset)))
	w.credit = r.uvarint()
	w.version = r.summary(MaxDeps)
	return w, r.end()
}

func decodeDatasets(b []byte) ([]DatasetID, error) {
	if len(b)%len(DatasetID{}) != 0 || len(b)/len(DatasetID{}) > MaxShared {
		return nil, fmt.Errorf("%w: datasets frame of %d bytes", ErrMalformed, len(b))
	}
	ids := make([]DatasetID, len(b)/len(DatasetID{}))
	for i := range ids {
		copy(ids[i][:], b[i*len(ids[i]):])
	}
	return ids, nil
}

type datasetDigest struct {
	id     DatasetID
	digest [32]byte
}

func decodeDigests(b []byte) ([]datasetDigest, error) {
	const size = len(DatasetID{}) + 32
	if len(b)%size != 0 || len(b)/size > MaxShared {
		return nil, fmt.Errorf("%w: digests frame of %d bytes", ErrMalformed, len(b))
	}
	list := make([]datasetDigest, len(b)/size)
	for i := range list {
		p := b[i*size:]
		copy(list[i].id[:], p)
		copy(list[i].digest[:], p[len(DatasetID{}):size])
	}
	return list, nil
}

// end checks that everything was read.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.b))
	}
	if r.err != nil {
		return fmt.Errorf("%w: frame: %w", ErrMalformed, r.err)
	}
	return nil
}
