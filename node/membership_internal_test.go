package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/member"
)

// Strangers that come and go do not disturb the talk with who stays.
func TestGreeterForgets(t *testing.T) {
	g := &greeter{log: slog.New(slog.DiscardHandler), talks: make(map[string]*talk)}
	failed := errors.New("it went away")
	if !g.begin("member") {
		t.Fatal("a first talk does not begin")
	}
	for i := range 2 * maxTalks {
		peer := fmt.Sprint("stranger ", i)
		g.begin(peer)
		g.end(peer, failed)
	}
	if g.begin("member") {
		t.Error("a second talk with the same peer begins")
	}
	g.end("member", failed)
	if len(g.talks) > maxTalks+1 {
		t.Errorf("%d peers are remembered, want at most %d", len(g.talks), maxTalks+1)
	}
}

// A short name means the device that has it, however another's peer id ends.
func TestNamed(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	k := member.Key(private.Public().(ed25519.PublicKey))
	id := peerName(k)
	for given, want := range map[string]bool{
		"": false, "desk": true, id: true, id[len(id)-minPeerEnd:]: true, id[len(id)-2:]: false, "x" + id[len(id)-8:]: false,
	} {
		if got := named(given, "desk", k); got != want {
			t.Errorf("%q means %s: got %v, want %v", given, id, got, want)
		}
	}
}

// An administrator's node changes the key when a membership expires, though nobody says
// anything.
func TestExpiryIsNoticed(t *testing.T) {
	every := resealEvery
	resealEvery = 20 * time.Millisecond
	t.Cleanup(func() { resealEvery = every })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Data: filepath.Join(t.TempDir(), "a"), Datasets: []string{"default"}, API: "off", Listen: []string{"127.0.0.1:0"}, Version: "test"}
	_, err := FoundNetwork(cfg, "home", "alpha")
	must(err)
	n, err := Open(cfg, slog.New(slog.DiscardHandler))
	must(err)
	_, key, err := ed25519.GenerateKey(nil)
	must(err)
	x := member.Key(key.Public().(ed25519.PublicKey))
	token, err := n.book.Invite(member.Reader, 1, time.Time{})
	must(err)
	q, err := member.NewRequest(key, "x", token)
	must(err)
	_, err = n.book.Redeem(q, x)
	must(err)
	must(n.book.Revoke(x, nil, nil)) // a shorter term needs that
	must(n.book.Change(x, member.Reader, time.Now().Add(time.Second)))
	first, _, _ := n.book.Ring().Current()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if now, _, _ := n.book.Ring().Current(); now != first {
			if err := n.book.Check(x); !errors.Is(err, member.ErrExpired) {
				t.Errorf("the key was changed, and of the member is said %v, want ErrExpired", err)
			}
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Error("a membership expired, and the key is as it was")
			break
		}
	}
	cancel()
	must(<-done)
}
