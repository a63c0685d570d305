package member

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A world is a network of which every device is at hand, with one clock.
type world struct {
	t     testing.TB
	now   time.Time
	count int
}

func newWorld(t testing.TB) *world { return &world{t: t, now: noon} }

func testKey(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, fmt.Sprintf("test key %d", n))
	return ed25519.NewKeyFromSeed(seed)
}

// options of the next device.
func (w *world) options() Options {
	w.count++
	return Options{
		File: filepath.Join(w.t.TempDir(), fmt.Sprintf("members%d", w.count)),
		Key:  testKey(w.count), Now: func() time.Time { return w.now },
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) found() *Book {
	w.t.Helper()
	b, err := Found("garden", "founder's laptop", w.options())
	w.must(err)
	return b
}

// outsider knows the network and is no member.
func (w *world) outsider(of *Book) *Book {
	w.t.Helper()
	b, err := Join(of.Roster().Genesis(), w.options())
	w.must(err)
	return b
}

// join lets a new device in, by an invite of an admin.
func (w *world) join(admin *Book, role Role) *Book {
	w.t.Helper()
	b := w.outsider(admin)
	token, err := admin.Invite(role, 1, time.Time{})
	w.must(err)
	if reason := w.redeem(admin, b, token); reason != 0 {
		w.t.Fatalf("join was refused: %s", reasonTexts[reason])
	}
	w.tell(admin, b)
	return b
}

func (w *world) redeem(admin, by *Book, token *Token) Reason {
	w.t.Helper()
	q, err := NewRequest(by.key, fmt.Sprintf("device %d", w.count), token)
	w.must(err)
	reason, err := admin.Redeem(q, by.Self())
	w.must(err)
	return reason
}

// tell shows one device what another has.
func (w *world) tell(from, to *Book) {
	w.t.Helper()
	_, err := to.Merge(from.Roster().records)
	w.must(err)
}

// meet makes devices equal.
func (w *world) meet(books ...*Book) {
	w.t.Helper()
	for range 3 {
		for _, a := range books {
			for _, b := range books {
				if a != b {
					w.tell(a, b)
				}
			}
		}
	}
	for _, b := range books {
		if b.Roster().digest != books[0].Roster().digest {
			w.t.Fatal("devices that met are not equal")
		}
	}
}

func (w *world) tick() { w.now = w.now.Add(time.Second) }

func checkError(t testing.TB, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("error %v, want it to say %q", err, p)
		}
	}
}
