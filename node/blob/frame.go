package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A stream is one request. Who asks ends it, when it has read the answer; the transport encrypts it.
//
//	request := hash 32
//	answer  := 0                            it is not here, or not for you
//	         | 1 ‖ size 8 ‖ bytes           size of them, at most MaxSize, whose BLAKE3 hash is the request
//
// Integers are big-endian.
const (
	answerAbsent = 0
	answerBytes  = 1
	headSize     = 1 + 8
)

// What can be wrong with an answer. Who does one of the first three is a liar.
var (
	errMalformed = errors.New("malformed answer")
	errOversize  = errors.New("says that the blob is over the limit")
	errWrong     = errors.New("sent other bytes than the blob's")
	errBroken    = errors.New("broke off")
	errSlow      = errors.New("is too slow")
	errNotThere  = errors.New("has not got it")
)

func appendHead(b []byte, size int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, answerBytes), uint64(size))
}

// readHead reads what stands before the bytes.
func readHead(r io.Reader) (size int64, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	switch head[0] {
	case answerAbsent:
		return 0, errNotThere
	case answerBytes:
	default:
		return 0, fmt.Errorf("%w of kind %d", errMalformed, head[0])
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	n := binary.BigEndian.Uint64(head[1:])
	if n > MaxSize {
		return 0, fmt.Errorf("%w: %d bytes", errOversize, n)
	}
	return int64(n), nil
}

// chunk is how much is read or written at once.
const chunk = 64 << 10

// localError is one that is not the peer's fault, and that another peer would not mend.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// receive reads an answer into w, in pieces whose length next is told before, and checks that it is the blob. It takes no
// more memory than a chunk. reserve is asked whether so many bytes may be kept.
func receive(r io.Reader, want Hash, w *Writer, reserve func(size int64) error, next func(n int64)) error {
	size, err := readHead(r)
	if err == nil {
		err = reserve(size)
	}
	if err != nil {
		return err
	}
	buf := make([]byte, min(size, chunk))
	for left := size; left > 0; {
		piece := buf[:min(left, chunk)]
		next(int64(len(piece)))
		if _, err := io.ReadFull(r, piece); err != nil {
			return fmt.Errorf("%w after %d of %d bytes: %w", errBroken, w.Size(), size, err)
		}
		if _, err := w.Write(piece); err != nil {
			return localError{err}
		}
		left -= int64(len(piece))
	}
	if w.Sum() != want {
		return fmt.Errorf("%w, %d of them", errWrong, size)
	}
	return nil
}
