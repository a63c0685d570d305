package bus

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"pgregory.net/rapid"
)

// ring is a keyring of one key.
type ring struct {
	id   KeyID
	aead cipher.AEAD
}

func newRing(t testing.TB, name string) ring {
	t.Helper()
	key := sha256.Sum256([]byte(name))
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		t.Fatal(err)
	}
	return ring{KeyID(key[:16]), aead}
}

func (r ring) Current() (KeyID, cipher.AEAD) { return r.id, r.aead }

func (r ring) Find(id KeyID) cipher.AEAD {
	if id == r.id {
		return r.aead
	}
	return nil
}

// closedBus is a bus of a closed network.
func closedBus(t testing.TB, who string, keys Keyring, members ...string) *Bus {
	t.Helper()
	b, err := Open(Options{
		Store: memory(t.(*testing.T)), Key: testKey(who), Network: [32]byte{1}, Name: nodeName, Find: findNode, Net: silence{}, Keys: keys,
		MaySpeak: func(k Key) bool {
			for _, m := range members {
				if k == public(m) {
					return true
				}
			}
			return false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// silence is a network with nobody in it.
type silence struct{ labNet }

func (silence) Publish([]byte) error { return nil }

func sealedFrame(r ring, who string, stamp uint64, subject string, payload []byte) []byte {
	f := &frame{kind: kindPublish, from: public(who), stamp: stamp, key: r.id}
	return f.write([32]byte{1}, testKey(who), r.aead, appendContent(nil, subject, payload))
}

// In a closed network what is said can be read by those only who have the key, and is taken from members only.
func TestClosed(t *testing.T) {
	keys, other := newRing(t, "the key"), newRing(t, "another")
	b := closedBus(t, "b", keys, "a", "b")
	raw := sealedFrame(keys, "a", 1, "subject", []byte("a secret"))
	if bytes.Contains(raw, []byte("secret")) || bytes.Contains(raw, []byte("subject")) {
		t.Error("what is sealed can be read")
	}
	check := func(what string, b *Bus, raw []byte, want Verdict, readable bool) {
		t.Helper()
		v, token := b.Validate("peer", raw)
		if v != want || (token != nil) != readable {
			t.Errorf("%s: verdict %d, readable %t, want %d, %t", what, v, token != nil, want, readable)
		}
	}
	check("a member's", b, raw, Accept, true)
	check("the same again", b, raw, Ignore, false)
	check("to a relay", closedBus(t, "r", other, "a"), raw, Accept, false)
	check("to who is of another network", closedBus(t, "r", keys), raw, Ignore, false)
	check("an outsider's", b, sealedFrame(keys, "e", 1, "s", nil), Ignore, false)
	check("an outsider's in a member's name", b, forged(keys), Reject, false)
	check("one without a seal", b, (&frame{kind: kindPublish, from: public("a"), stamp: 2}).write([32]byte{1}, testKey("a"), nil, appendContent(nil, "s", nil)), Reject, false)
	check("one of another network", b, (&frame{kind: kindPublish, from: public("a"), stamp: 3, key: keys.id}).write([32]byte{2}, testKey("a"), keys.aead, appendContent(nil, "s", nil)), Reject, false)
	false1 := sealedFrame(ring{keys.id, other.aead}, "a", 4, "s", nil)
	check("one under another key than it says", b, false1, Ignore, false)
	if err := closedBus(t, "r", keys, "a").Publish(t.Context(), "s", nil); err == nil {
		t.Error("who may not speak was not told so")
	}
	if err := closedBus(t, "b", ring{}, "b").Publish(t.Context(), "s", nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: got %v, want %v", err, ErrNoKey)
	}
}

func forged(keys ring) []byte {
	f := &frame{kind: kindPublish, from: public("a"), stamp: 9, key: keys.id}
	return f.write([32]byte{1}, testKey("e"), keys.aead, appendContent(nil, "s", nil))
}

// A frame is read as it was written, and no other frame has its signature.
func TestFrames(t *testing.T) {
	network := [32]byte{1}
	rapid.Check(t, func(t *rapid.T) {
		f := &frame{kind: rapid.SampledFrom([]byte{kindPublish, kindRequest, kindAnswer}).Draw(t, "kind"), from: public("a")}
		f.stamp = rapid.Uint64().Draw(t, "stamp")
		if f.kind == kindAnswer {
			f.to, f.about = public("b"), rapid.Uint64().Draw(t, "about")
		}
		content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "content")
		raw := f.write(network, testKey("a"), nil, content)
		got, err := parseFrame(raw)
		if err != nil || got.kind != f.kind || got.from != f.from || got.stamp != f.stamp || got.to != f.to || got.about != f.about ||
			!bytes.Equal(got.body, content) || !got.verify(network) || got.verify([32]byte{2}) {
			t.Fatalf("%+v became %+v, %v", f, got, err)
		}
		bad := bytes.Clone(raw)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := parseFrame(bad); err == nil && got.verify(network) {
			t.Fatalf("%x was changed to %x, and its signature is good", raw, bad)
		}
	})
}

// The longest message fits a frame.
func TestLongestFrame(t *testing.T) {
	keys := newRing(t, "k")
	f := &frame{kind: kindAnswer, from: public("a"), key: keys.id}
	raw := f.write([32]byte{1}, testKey("a"), keys.aead, appendContent(nil, strings.Repeat("s", MaxSubject), make([]byte, MaxPayload)))
	if len(raw) != MaxFrame {
		t.Errorf("%d bytes, want %d", len(raw), MaxFrame)
	}
}

// A window takes every stamp at most once, and those in order always.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		heard := make(map[uint64]bool)
		var highest uint64
		for range 3 * maxWindow / 100 {
			at := rapid.Uint64Range(1, 5000).Draw(t, "at")
			for stamp := at; stamp < at+100; stamp++ {
				had := w.has(stamp)
				news := w.add(stamp)
				if news == had || news && heard[stamp] || !news && stamp > highest {
					t.Fatalf("stamp %d: news %t, had %t, heard %t, highest %d", stamp, news, had, heard[stamp], highest)
				}
				heard[stamp] = true
				highest = max(highest, stamp)
			}
		}
		if len(w.stamps) > maxWindow {
			t.Fatalf("%d stamps are remembered", len(w.stamps))
		}
	})
}

// Tables of strangers stay small.
func TestBoundedTables(t *testing.T) {
	b, _ := newLab(t).open("a", memory(t))
	for i := range maxPeers + 100 {
		b.allowPeer(strings.Repeat("p", i%7)+string(rune(i)), 1, time.Now())
	}
	if got := len(b.peers); got > maxPeers {
		t.Errorf("%d peers are remembered, want at most %d", got, maxPeers)
	}
	from := public("e")
	for i := range uint64(maxLetters + 100) {
		b.inbox.take(letterID{from, i}, "s", nil, func(bool) {})
	}
	if got := len(b.inbox.letters); got != 0 {
		t.Errorf("%d letters that nobody wants are remembered", got)
	}
	var c taken
	listen(t, b, "s", c.deliver)
	for i := range uint64(maxLetters + 100) {
		b.inbox.take(letterID{from, i}, "s", nil, func(bool) {})
	}
	if got := len(b.inbox.letters); got != maxLetters || len(b.inbox.order) != maxLetters {
		t.Errorf("%d letters, %d in order, want %d", got, len(b.inbox.order), maxLetters)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add((&frame{kind: kindPublish, from: public("a"), stamp: 1}).write([32]byte{1}, testKey("a"), nil, appendContent(nil, "s", []byte("p"))))
	f.Add((&frame{kind: kindAnswer, from: public("a"), stamp: 1}).write([32]byte{1}, testKey("a"), nil, appendContent(nil, "", nil)))
	f.Add([]byte{frameVersion, kindAnswer})
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := parseFrame(raw)
		if err != nil {
			return
		}
		if n := len(x.head) + len(x.body) + len(x.signature); n != len(raw) {
			t.Fatalf("%d of %d bytes", n, len(raw))
		}
		if subject, payload, err := parseContent(x.body); err == nil && !bytes.Equal(appendContent(nil, subject, payload), x.body) {
			t.Fatalf("%x is %q and %x", x.body, subject, payload)
		}
		x.verify([32]byte{1})
	})
}

func FuzzItems(f *testing.F) {
	f.Add(appendItem(appendItem(nil, itemSend, 1, appendContent(nil, "s", []byte("p"))), itemAnswer, 2, []byte("a")))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			i, err := readItem(r)
			if errors.Is(err, io.EOF) || err != nil {
				return
			}
			if len(i.rest) > maxContent {
				t.Fatalf("an item of %d bytes", len(i.rest))
			}
		}
	})
}
