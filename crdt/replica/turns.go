package replica

import (
	"runtime"
	"sync"
)

// Who gets a CPU for verifying and decoding: one entry a CPU at a time, and of each
// peer a few may stand in line. So a peer that sends what is costly to check waits
// behind itself, and the next entry of another waits for a few of each peer.
const maxInLine = 4

type checkTurns struct {
	cpus chan struct{}

	mu    sync.Mutex // guards lines
	lines map[string]*checkLine
}

// checkLine is the line of one peer. It is forgotten with the last who uses it.
type checkLine struct {
	places chan struct{}
	users  int
}

func newCheckTurns() checkTurns {
	return checkTurns{cpus: make(chan struct{}, runtime.GOMAXPROCS(0)), lines: make(map[string]*checkLine)}
}

// take waits for a turn of a peer's, and returns what gives it back.
func (t *checkTurns) take(peer string) (done func()) {
	t.mu.Lock()
	l := t.lines[peer]
	if l == nil {
		l = &checkLine{places: make(chan struct{}, maxInLine)}
		t.lines[peer] = l
	}
	l.users++
	t.mu.Unlock()
	l.places <- struct{}{}
	t.cpus <- struct{}{}
	return func() {
		<-t.cpus
		<-l.places
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(t.lines, peer)
		}
	}
}
