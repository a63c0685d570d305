package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"testing"

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
