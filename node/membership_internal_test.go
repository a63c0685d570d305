package node

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
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
