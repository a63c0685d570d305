package replica

import (
	"bytes"
	"context"
	"crypto/cipher"
	"testing"
)

// Bodies that no member makes are refused before anything is verified: in a closed
// network those that are not encrypted, in an open one those that are.
func TestBodiesNobodyMakes(t *testing.T) {
	closed := openOver(t, openStore(t), func(o *Options) { o.Keys = noKeys{} })
	a := newTestAuthor(1, closed.d.id)
	if v := closed.gossip(message(a.entry(t, nil, a.inc("k")))); v != Reject {
		t.Errorf("a plain body in a closed network: verdict %v, want a rejection", v)
	}
	open := openOver(t, openStore(t))
	b := newTestAuthor(1, open.d.id)
	if v := open.gossip(message(b.entry(t, nil, b.inc("k"), func(h *Header) { h.KeyID = make([]byte, keyIDSize) }))); v != Reject {
		t.Errorf("an encrypted body in an open network: verdict %v, want a rejection", v)
	}
}

// noKeys is the ring of a relay.
type noKeys struct{}

func (noKeys) Current() (KeyID, cipher.AEAD) { return KeyID{}, nil }
func (noKeys) Find(KeyID) cipher.AEAD        { return nil }

// Where logs begin is their authors' word.
func TestMadeUpStarts(t *testing.T) {
	l := openOver(t, openStore(t), func(o *Options) { o.Keys = noKeys{} })
	a := newTestAuthor(1, l.d.id)
	first, second := a.entry(t, nil, a.inc("k")), a.entry(t, nil, a.inc("k"))
	forged := bytes.Clone(second.head())
	forged[60]++ // in the author
	any := func(*Entry) bool { return true }
	for name, c := range map[string]struct {
		starts []byte
		want   int
	}{
		"signed": {append(bytes.Clone(first.head()), second.head()...), 2}, "forged": {forged, -1}, "cut short": {second.head()[:50], -1},
	} {
		list, err := decodeStarts(c.starts, any)
		if err != nil && c.want >= 0 || err == nil && len(list) != c.want {
			t.Errorf("%s: %d starts, %v, want %d", name, len(list), err, c.want)
		}
	}
	s := newSession(l.Replica, "reader", nil)
	if err := s.onStarts(context.Background(), append(l.d.id[:], second.head()...)); err != nil {
		t.Fatal(err)
	}
	if got := l.d.Version()[a.author]; got != 2 {
		t.Errorf("the log begins at %d, want where its author signed", got)
	}
}
