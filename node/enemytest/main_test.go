package enemytest

import (
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/numax-mesh/numax/p2p"
)

var (
	onlySeed  = flag.Uint64("enemy.seed", 0, "besiege with this seed only; 0: with the first ones")
	siegeTime = flag.Duration("enemy.time", 4*time.Second, "how long a siege lasts")
)

// deadline bounds every wait for what must happen in the end.
const deadline = 60 * time.Second

// TestMain holds every test to the law that nodes leave no goroutine behind.
func TestMain(m *testing.M) {
	flag.Parse()
	p2p.RouteLibraryLogs(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m,
		// One for the process, which counts the traffic of all hosts.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"),
		// LevelDB's last one ends up to a second after Close.
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// seeds are those to run: n of them, if none was asked for.
func seeds(n int) []uint64 {
	if *onlySeed != 0 {
		return []uint64{*onlySeed}
	}
	var all []uint64
	for s := range n {
		all = append(all, uint64(s+1))
	}
	return all
}

// source is the randomness of one part of a seed.
func source(seed uint64, part ...any) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, part...)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// replay says how to run a seed again, if it failed.
func replay(t *testing.T, seed uint64) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with: go test ./node/enemytest -count 1 -v -run '^%s$' -enemy.seed %d -enemy.time %v", top(t.Name()), seed, *siegeTime)
		}
	})
}

// top is the name of the test function.
func top(name string) string {
	for i := range len(name) {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return name
}
