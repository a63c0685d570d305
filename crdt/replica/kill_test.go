package replica_test

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
	"github.com/numax-mesh/numax/datastore"
)

// killDir makes the test binary a writer over that directory, to be killed.
const killDir = "REPLICA_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver counts up and prints each value that is on disk.
func writeForEver(dir string) error {
	ctx := context.Background()
	store, err := datastore.Open(dir, datastore.Options{})
	if err != nil {
		return err
	}
	r, err := replica.Open(replica.Options{
		Store: store, Key: replicatest.Key("a"), Network: replica.OpenNetwork(replicatest.NetworkName),
	})
	if err != nil {
		return err
	}
	d, err := r.Dataset(replicatest.DatasetName)
	if err != nil {
		return err
	}
	go func() { _ = r.Run(ctx) }()
	for {
		var n uint64
		_, err := d.Update(ctx, crdt.GCounter, "k", func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			n = o.(*crdt.GCounterState).Value() + 1
			return o.(*crdt.GCounterState).Inc(now.Author, 1), true
		})
		if err == nil {
			err = r.Sync(ctx)
		}
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// Killed at any moment, twenty times in a row: nothing that was acknowledged is
// lost, no seq is used twice, and a node that follows stays equal.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	n := replicatest.New(t, 1)
	b := n.Start("b")
	a := n.StartOver("a", dir, datastore.Options{})
	author := a.Replica.Author()
	rng := rand.New(rand.NewPCG(3, 3))
	var acked uint64
	for round := range 20 {
		a.Stop()
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), killDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var kill *time.Timer
		for lines.Scan() {
			if kill == nil { // it works: now at any moment
				kill = time.AfterFunc(time.Duration(rng.IntN(80_000))*time.Microsecond, func() { _ = child.Process.Kill() })
			}
			if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		if kill == nil {
			t.Fatal("the writer wrote nothing")
		}
		_ = child.Wait()

		a.Start()
		var value uint64
		_, _ = fmt.Sscan(a.Show(crdt.GCounter, "k"), &value)
		if value < acked {
			t.Fatalf("round %d: k = %d, but %d was acknowledged", round, value, acked)
		}
		if a.Replica.Author() != author {
			t.Fatalf("round %d: a new replica id, so the log did not walk", round)
		}
		if seq := a.D.Version()[author]; seq != value {
			t.Fatalf("round %d: k = %d after %d ops", round, value, seq)
		}
		n.Wait("the follower", func() bool { return replicatest.Same(a, b) && sees(b, "k", fmt.Sprint(value))() })
	}
	if !maps.Equal(a.D.Version(), b.D.Version()) || b.Replica.Stats().Forks.Load() != 0 {
		t.Error("the follower saw a fork, or something else")
	}
	t.Logf("%d increments", acked)
}
