package blob

import (
	"bytes"
	"io"
	"testing"

	"github.com/zeebo/blake3"
)

// No answer makes a fetch panic, keeps what is not the blob, or keeps more bytes than it sent.
func FuzzAnswer(f *testing.F) {
	small := []byte("a small blob")
	h := Hash(blake3.Sum256(small))
	f.Add(append(head(uint64(len(small))), small...))
	f.Add([]byte{answerAbsent})
	f.Add(head(MaxSize))
	f.Add(head(1 << 63))
	f.Add([]byte{answerBytes, 0})
	store := open(f, f.TempDir())
	f.Fuzz(func(t *testing.T, answer []byte) {
		w, err := store.Create()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Discard()
		var reserved int64
		err = receive(bytes.NewReader(answer), h, w, func(n int64) error { reserved = n; return nil }, func(int64) {})
		if w.Size() > min(reserved, int64(len(answer))) || reserved > MaxSize {
			t.Errorf("%d bytes of %d reserved, of an answer of %d", w.Size(), reserved, len(answer))
		}
		if (err == nil) != bytes.HasPrefix(answer, append(head(uint64(len(small))), small...)) {
			t.Errorf("answer %x: %v", answer, err)
		}
	})
}

// Whatever a peer asks, it hears that nothing is there, the blob, or nothing.
func FuzzRequest(f *testing.F) {
	x := newExchange(f, nil, io.Discard)
	small := []byte("a small blob")
	h := put(f, x.o.Store, "m", small)
	f.Add(h[:])
	f.Add(h[:5])
	f.Add(append(h[:], h[:]...))
	f.Fuzz(func(t *testing.T, request []byte) {
		s := &stream{Reader: bytes.NewReader(request)}
		x.Serve(t.Context(), "peer", s)
		want := []byte{}
		if bytes.HasPrefix(request, h[:]) {
			want = append(head(uint64(len(small))), small...)
		} else if len(request) >= len(h) {
			want = []byte{answerAbsent}
		}
		if !bytes.Equal(s.said.Bytes(), want) {
			t.Errorf("asked %x, heard %x", request, s.said.Bytes())
		}
	})
}

// stream is a stream whose other end has said all it says.
type stream struct {
	io.Reader
	said bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) { return s.said.Write(p) }

func (s *stream) Close() error { return nil }
