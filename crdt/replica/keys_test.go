package replica_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
	"github.com/numax-mesh/numax/datastore"
)

// ring is a node's keys, the last one current.
type ring struct {
	mu  sync.Mutex
	ids []replica.KeyID
}

func (r *ring) give(keys ...byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		r.ids = append(r.ids, replica.KeyID{k})
	}
}

func (r *ring) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = nil
}

func aead(id replica.KeyID) cipher.AEAD {
	block, _ := aes.NewCipher(id[:])
	key, _ := cipher.NewGCMWithNonceSize(block, 24)
	return key
}

func (r *ring) Current() (replica.KeyID, cipher.AEAD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) == 0 {
		return replica.KeyID{}, nil
	}
	id := r.ids[len(r.ids)-1]
	return id, aead(id)
}

func (r *ring) Find(id replica.KeyID) cipher.AEAD {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.ids {
		if x == id {
			return aead(x)
		}
	}
	return nil
}

// private starts a mesh of nodes with keyrings; those without a key are relays.
func private(t *testing.T, rings map[string]*ring) *replicatest.Net {
	n := replicatest.New(t, 1)
	n.Change = func(name string, o *replica.Options) {
		o.Keys = rings[name]
		o.MayRead = func(peer string) bool { _, key := rings[peer].Current(); return key != nil }
	}
	return n
}

// onDisk reports whether a node's store has the bytes anywhere.
func onDisk(t *testing.T, x *replicatest.Node, secret string) (found bool) {
	t.Helper()
	x.Sync()
	if err := x.Store.Scan(nil, nil, func(k, v []byte) bool {
		found = bytes.Contains(k, []byte(secret)) || bytes.Contains(v, []byte(secret))
		return !found
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// What a register's value, or that there is none, looks like.
func shown(value string) string { return fmt.Sprintf("%q true", value) }

const unset = `"" false`

const secret = "what nobody else may read"

// A relay stores and forwards what it cannot read, also to members that only it
// can reach, and after a restart.
func TestRelayCannotRead(t *testing.T) {
	rings := map[string]*ring{"a": {}, "b": {}, "relay": {}}
	rings["a"].give(1)
	rings["b"].give(1)
	n := private(t, rings)
	a, relay := n.Start("a"), n.Start("relay")
	a.Set(secret, []byte(secret))
	a.Sync()
	n.Wait("the relay to have the log", func() bool { return replicatest.Same(a, relay) })
	a.Crash()
	relay.Stop()
	relay.Start()
	b := n.Start("b")
	n.Wait("a member to read it", func() bool { return b.Show(crdt.LWWRegister, secret) == shown(secret) })
	if onDisk(t, relay, secret) {
		t.Error("the relay has it in the clear")
	}
	wantShow(t, relay, crdt.LWWRegister, secret, unset)
	_, err := relay.D.Update(context.Background(), crdt.GCounter, "k", func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, 1), true
	})
	if !errors.Is(err, replica.ErrNoKey) {
		t.Errorf("a relay writes: %v, want %v", err, replica.ErrNoKey)
	}
}

// A relay that comes after the log was cut is not given the state, and keeps what
// is written from then on; with a key, it fetches the state.
func TestRelayGetsNoState(t *testing.T) {
	rings := map[string]*ring{"a": {}, "b": {}, "relay": {}}
	rings["a"].give(1)
	rings["b"].give(1)
	n := private(t, rings)
	n.Retention = replica.Retention{Age: time.Nanosecond, Spare: -1, Every: time.Hour}
	a := n.Start("a")
	a.Set(secret, []byte(secret))
	a.Sync()
	upkeep(a, a, a)
	a.Set("later", []byte("value"))
	relay := n.Start("relay")
	n.Wait("an exchange", func() bool { return relay.Replica.Stats().Repairs.Load() > 0 })
	b := n.Start("b")
	n.Wait("a member to get the state", func() bool { return b.Show(crdt.LWWRegister, secret) == shown(secret) })
	if onDisk(t, relay, secret) || relay.Replica.Stats().StatesJoined.Load() > 0 {
		t.Error("the relay was given the state")
	}
	n.Wait("the relay to have what came later", func() bool { return replicatest.Same(a, relay) })
	a.Set("last", []byte("value"))
	a.Sync()
	n.Wait("the relay to follow", func() bool { return replicatest.Same(a, relay) })
	relay.Stop()
	relay.Start()
	if !replicatest.Same(a, relay) {
		t.Error("the relay forgot where the log begins")
	}
	rings["relay"].give(1)
	if err := relay.Replica.Reauthorize(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.Wait("who is a relay no more to have it all", func() bool {
		return relay.Show(crdt.LWWRegister, secret) == shown(secret) && relay.Show(crdt.LWWRegister, "last") == shown("value")
	})
}

// A state is not taken from a relay, which could put anything in it.
func TestNoStateOfARelay(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = replica.Retention{Age: time.Nanosecond, Spare: -1, Every: time.Hour}
	relay := n.Start("relay")
	relay.Set("k", []byte("forged"))
	relay.Sync()
	upkeep(relay, relay, relay)
	n.Change = func(_ string, o *replica.Options) {
		o.MayRead = func(peer string) bool { return peer != "relay" }
	}
	a := n.Start("a")
	n.Wait("an exchange", func() bool {
		return a.Replica.Stats().Repairs.Load() > 2 || a.Replica.Stats().StatesJoined.Load() > 0
	})
	if a.Replica.Stats().StatesJoined.Load() > 0 {
		t.Error("the state of a relay was taken over")
	}
	wantShow(t, a, crdt.LWWRegister, "k", unset)
	n.Change = nil
	b := n.Start("b")
	n.Wait("others to take it", func() bool { return b.Show(crdt.LWWRegister, "k") == shown("forged") })
}

// Who loses the key keeps what it has written, and its node goes on.
func TestKeyIsTakenAway(t *testing.T) {
	rings := map[string]*ring{"a": {}, "b": {}}
	rings["a"].give(1)
	rings["b"].give(1)
	n := private(t, rings)
	a, b := n.Start("a"), n.Start("b")
	for i := range 20 { // some of it is on its way to disk
		a.Set("k", fmt.Append(nil, i))
	}
	rings["a"].take()
	a.Sync()
	n.Wait("all that was accepted", func() bool { return b.Show(crdt.LWWRegister, "k") == shown("19") })
	rings["a"].give(1)
	a.Set("k", []byte("back"))
	n.Wait("life to go on", func() bool { return b.Show(crdt.LWWRegister, "k") == shown("back") })
}

// Entries wait for their key, and those behind them with them.
func TestKeyComesLater(t *testing.T) {
	rings := map[string]*ring{"a": {}, "b": {}}
	rings["a"].give(1)
	rings["b"].give(1)
	n := private(t, rings)
	a, b := n.Start("a"), n.Start("b")
	a.Set("before", []byte("1"))
	n.Wait("an entry under the first key", func() bool { return b.Show(crdt.LWWRegister, "before") == shown("1") })
	rings["a"].give(2)
	a.Set("after", []byte("2"))
	a.Sync()
	n.Wait("an entry under the second", func() bool { return replicatest.Same(a, b) })
	wantShow(t, b, crdt.LWWRegister, "after", unset)
	rings["b"].give(2)
	if err := b.Replica.Reauthorize(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantShow(t, b, crdt.LWWRegister, "after", shown("2"))
	b.Set("back", []byte("3"))
	n.Wait("an answer", func() bool { return a.Show(crdt.LWWRegister, "back") == shown("3") })
	for _, x := range []*replicatest.Node{a, b} {
		found := false
		if err := datastore.ScanPrefix(x.Store, []byte("e"), func(_, v []byte) bool {
			found = found || bytes.Contains(v, []byte("after"))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if found {
			t.Errorf("%s has an entry in the clear in its log", x.Name)
		}
	}
}
