package replica

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/datastore/datastoretest"
)

var ctx = context.Background()

func TestSyncIsKept(t *testing.T) {
	dir := t.TempDir()
	for round := range uint64(5) {
		l := open(t, dir, datastore.Options{})
		if n := l.count(t, "k"); n < 10*round {
			t.Fatalf("k = %d after %d synced rounds of 10", n, round)
		}
		for range 10 {
			if err := l.inc("k"); err != nil {
				t.Fatal(err)
			}
		}
		l.sync(t)
		l.crash(t)
		if err := l.inc("k"); !errors.Is(err, ErrClosed) {
			t.Errorf("a write after the end: %v, want ErrClosed", err)
		}
	}
}

// Whoever waits for the disk gets an answer when there will be no more commit.
func TestSyncAtTheEnd(t *testing.T) {
	l := open(t, "", datastore.Options{})
	if err := l.inc("k"); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(ctx); err != nil {
		t.Errorf("Run ended with a commit, Sync: %v", err)
	}
	l.queue.push(1, 0) // a writer that was admitted just before the end
	if err := l.Sync(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("Sync of what was never committed: %v, want ErrClosed", err)
	}
}

func TestFailingDisk(t *testing.T) {
	for _, fault := range []datastoretest.Fault{datastoretest.FailWrite, datastoretest.FailShort, datastoretest.FailSync} {
		for after := range 4 {
			t.Run(fmt.Sprintf("fault %d after %d", fault, after), func(t *testing.T) {
				disk := datastoretest.NewDisk()
				l := open(t, "", datastore.Options{Storage: disk})
				a := newTestAuthor(1, l.d.id)
				keys := l.Keys("m")
				for range 5 {
					if err := l.inc("k"); err != nil {
						t.Fatal(err)
					}
				}
				l.gossip(message(a.entry(t, nil, a.inc("foreign"))))
				l.sync(t)

				disk.Fail(fault, after)
				accepted := uint64(5)
				eventually(t, "ErrBusy", func() bool {
					err := l.inc("k")
					if err == nil {
						accepted++
						err = keys.Set(ctx, []byte("n"), fmt.Append(nil, accepted))
					}
					return errors.Is(err, ErrBusy)
				})
				if err := l.Sync(ctx); !errors.Is(err, ErrBusy) || l.Failure() == nil {
					t.Errorf("Sync on a failing disk: %v, want ErrBusy", err)
				}
				if n := l.count(t, "k"); n != accepted {
					t.Errorf("k = %d while the disk fails, want %d", n, accepted)
				}
				if n := l.count(t, "never seen"); n != 0 { // read from the disk
					t.Error("an object out of nothing")
				}
				missed := a.entry(t, nil, a.inc("foreign"))
				l.gossip(message(missed))

				disk.Fail(datastoretest.NoFault, 0)
				eventually(t, "writes to be taken again", func() bool { return l.inc("k") == nil })
				accepted++
				l.gossip(message(missed))
				l.sync(t)
				l.crash(t)
				l = open(t, "", datastore.Options{Storage: disk})
				if n := l.count(t, "k"); n != accepted {
					t.Errorf("k = %d after recovery and a crash, want the %d accepted", n, accepted)
				}
				if n := l.count(t, "foreign"); n != 2 {
					t.Errorf("foreign = %d, want 2", n)
				}
				wantLogs(t, l)
			})
		}
	}
}

// A new replica id that is due while the disk fails loses nothing.
func TestRotationOnAFailingDisk(t *testing.T) {
	disk := datastoretest.NewDisk()
	l := open(t, "", datastore.Options{Storage: disk})
	old := l.Author()
	if err := l.inc("k"); err != nil {
		t.Fatal(err)
	}
	disk.Fail(datastoretest.FailSync, 0)
	l.queueRotation()
	eventually(t, "a failure", func() bool { return l.Failure() != nil })
	disk.Fail(datastoretest.NoFault, 0)
	eventually(t, "writes", func() bool { return l.inc("k") == nil })
	l.sync(t)
	l.crash(t)
	l = open(t, "", datastore.Options{Storage: disk})
	if l.Author() == old || l.count(t, "k") != 2 {
		t.Errorf("author changed: %v, k = %d, want 2", l.Author() != old, l.count(t, "k"))
	}
	wantLogs(t, l)
}

// wantLogs walks every author's log: hash-linked, without holes, to the end.
func wantLogs(t *testing.T, l *lone) {
	t.Helper()
	for a, row := range l.d.durable {
		if end, err := l.d.walk(a, logState{}); err != nil || end.have != row.have || end.head != row.head {
			t.Errorf("log of %v goes to %d, its row says %d (%v)", a, end.have, row.have, err)
		}
	}
}

// A peer that holds more of our author's log than we do: we are a copy.
func TestOldBackup(t *testing.T) {
	l := open(t, "", datastore.Options{})
	old := l.Author()
	twin := newTestAuthor(0, l.d.id)
	twin.key = ed25519.NewKeyFromSeed(make([]byte, 32))
	twin.author = old
	e := twin.entry(t, nil, twin.inc("k"))
	l.gossip(message(e))
	eventually(t, "a new replica id", func() bool { return l.Author() != old })
	if err := l.inc("k"); err != nil {
		t.Fatal(err)
	}
	l.gossip(message(e))
	eventually(t, "both", func() bool { return l.count(t, "k") == 2 })
}

// After an unclean stop a hole in a log is found, and what is behind it given
// up and learned again; objects are as the log says.
func TestHoleInALog(t *testing.T) {
	for _, c := range []struct {
		name string
		own  bool
		harm func(*datastore.Batch, []byte)
	}{
		{"foreign entry lost", false, func(b *datastore.Batch, k []byte) { b.Delete(k) }},
		{"foreign entry damaged", false, func(b *datastore.Batch, k []byte) { b.Put(k, []byte("garbage")) }},
		{"own entry lost", true, func(b *datastore.Batch, k []byte) { b.Delete(k) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, datastore.Options{})
			a := newTestAuthor(1, l.d.id)
			var all []*Entry
			for range 5 {
				all = append(all, a.entry(t, nil, a.inc("k")))
				l.gossip(message(all[len(all)-1]))
				if err := l.inc("own"); err != nil {
					t.Fatal(err)
				}
				l.sync(t)
			}
			self := l.Author()
			victim := a.author
			if c.own {
				victim = self
			}
			id := victim.Bytes()
			var b datastore.Batch
			c.harm(&b, datastore.EntryKey(l.d.id, id[:], 3))
			if err := l.store.Write(&b); err != nil {
				t.Fatal(err)
			}
			l.crash(t)
			l = open(t, dir, datastore.Options{})
			if have := l.d.Version()[victim]; have != 2 {
				t.Errorf("the log goes to %d, want 2", have)
			}
			if l.Author() == self {
				t.Error("writing on as the same author after lost rows")
			}
			// Own entries that depend on lost ones wait with them.
			if got := l.count(t, "own"); got != 2 {
				t.Errorf("own = %d, want 2", got)
			}
			for _, e := range all {
				l.gossip(message(e))
			}
			if err := l.inc("own"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "what was lost to come again", func() bool { return l.count(t, "k") == 5 })
			if got, want := l.count(t, "own"), map[bool]uint64{true: 3, false: 6}[c.own]; got != want {
				t.Errorf("own = %d at the end, want %d", got, want)
			}
			l.close(t)
			l = open(t, dir, datastore.Options{})
			wantLogs(t, l)
		})
	}
}

// A scan, however long its caller takes over a pair, keeps no write waiting, and shows
// what was there when it began.
func TestWritesDuringAScan(t *testing.T) {
	l := open(t, "", datastore.Options{})
	k := l.Keys("m")
	for _, name := range []string{"a", "c"} {
		if err := k.Set(t.Context(), []byte(name), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	var seen []string
	if err := k.Scan(nil, nil, func(key, _ []byte) bool {
		seen = append(seen, string(key))
		wrote := make(chan error, 1)
		go func() { wrote <- l.Keys("other").Set(t.Context(), []byte("b"), nil) }()
		select {
		case err := <-wrote:
			return err == nil
		case <-time.After(10 * time.Second):
			t.Error("a write waits for the scan of another module")
			return false
		}
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "a c" {
		t.Errorf("the scan shows %q", got)
	}
}

func TestKeys(t *testing.T) {
	l := open(t, t.TempDir(), datastore.Options{})
	k, other := l.Keys("m"), l.Keys("m\x00")
	list := func(prefix, after []byte) (got []string) {
		t.Helper()
		if err := k.Scan(prefix, after, func(key, v []byte) bool {
			got = append(got, string(key)+"="+string(v))
			return len(got) < 4
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		for _, c := range []struct {
			prefix, after []byte
			want          []string
		}{
			{nil, nil, []string{"a=1", "b=3", "bb=", "d=5"}},
			{[]byte("b"), nil, []string{"b=3", "bb="}},
			{[]byte("b"), []byte("b"), []string{"bb="}},
			{[]byte("b"), []byte("a"), []string{"b=3", "bb="}},
			{[]byte("b"), []byte("z"), nil},
			{nil, []byte("bb"), []string{"d=5", "e=6"}},
		} {
			if got := list(c.prefix, c.after); !slices.Equal(got, c.want) {
				t.Errorf("prefix %q after %q: %q, want %q", c.prefix, c.after, got, c.want)
			}
		}
		for key, want := range map[string]string{"a": "1", "b": "3", "bb": "", "c": "-", "z": "-"} {
			v, ok, err := k.Get([]byte(key))
			must(err)
			if !ok {
				v = []byte("-")
			}
			if string(v) != want {
				t.Errorf("%q is %q, want %q", key, v, want)
			}
		}
	}
	must(other.Set(ctx, []byte("a"), []byte("another module's")))
	must(k.Set(ctx, []byte("b"), []byte("2")))
	must(k.Set(ctx, []byte("c"), []byte("4")))
	must(k.Set(ctx, []byte("d"), []byte("5")))
	l.sync(t)
	must(k.Set(ctx, []byte("a"), []byte("1")))
	must(k.Set(ctx, []byte("b"), []byte("3")))
	must(k.Set(ctx, []byte("bb"), nil))
	must(k.Delete(ctx, []byte("c")))
	must(k.Set(ctx, []byte("e"), []byte("6")))
	check()
	l.sync(t)
	check()
}

// db_* writes and ops are kept in the order they were made: after a crash at
// any moment, key n exists only if op n does, and the other way round but for
// one.
func TestCrashKeepsAPrefix(t *testing.T) {
	for round := range 8 {
		dir := t.TempDir()
		l := open(t, dir, datastore.Options{})
		k := l.Keys("m")
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for n := 1; ; n++ {
				if l.inc("k") != nil || k.Set(ctx, []byte("n"), fmt.Append(nil, n)) != nil {
					return
				}
			}
		}()
		eventually(t, "some commits", func() bool { return l.stats.Commits.Load() > uint64(round) })
		l.crash(t)
		<-stop
		l = open(t, dir, datastore.Options{})
		v, _, err := l.Keys("m").Get([]byte("n"))
		if err != nil {
			t.Fatal(err)
		}
		var n uint64
		_, _ = fmt.Sscan(string(v), &n)
		if got := l.count(t, "k"); got != n && got != n+1 {
			t.Errorf("after a crash k = %d and n = %d", got, n)
		}
	}
}

func TestWatch(t *testing.T) {
	l := open(t, "", datastore.Options{})
	w := l.d.Watch("")
	defer w.Close()
	for range 10 {
		if err := l.inc("k"); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	got, overflow, err := w.Next(ctx)
	if want := []Change{{Object{crdt.GCounter, "k"}, false}}; !slices.Equal(got, want) || overflow || err != nil {
		t.Errorf("Next: %v %v %v, want %v", got, overflow, err, want)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := w.Next(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("Next without news: %v", err)
	}
	for n := range MaxWatched {
		if err := l.inc(fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	if err := l.inc("0"); err != nil { // known already: no overflow
		t.Fatal(err)
	}
	l.sync(t)
	if got, overflow, _ = w.Next(ctx); len(got) != MaxWatched || overflow {
		t.Errorf("%d objects, overflow %v, want %d and none", len(got), overflow, MaxWatched)
	}
	for n := range MaxWatched + 1 {
		if err := l.inc(fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	if got, overflow, _ = w.Next(ctx); len(got) != MaxWatched || !overflow {
		t.Errorf("%d objects, overflow %v, want %d and an overflow", len(got), overflow, MaxWatched)
	}
}

// However many authors there are, the largest op fits an entry; and authors
// above the limit are ignored, since no entry could depend on them.
func TestTooManyAuthors(t *testing.T) {
	l := open(t, "", datastore.Options{})
	l.d.mu.Lock()
	for n := range MaxDeps - 2 {
		var b [crdt.AuthorSize]byte
		copy(b[:], fmt.Sprint("author ", n))
		a := crdt.MakeAuthor(b)
		l.d.logs[a] = logHead{have: 1 << 60}
		l.d.applied[a] = 1 << 60
		l.d.news[a] = struct{}{}
		if n >= maxAuthors-2 {
			l.d.retired[hashAuthor(a)] = true // or there would be no room
		}
	}
	l.d.mu.Unlock()
	first, second := newTestAuthor(1, l.d.id), newTestAuthor(2, l.d.id)
	l.gossip(message(first.entry(t, nil, first.inc("k"))))
	l.gossip(message(second.entry(t, nil, second.inc("k"))))
	if n := l.count(t, "k"); n != 1 {
		t.Errorf("k = %d, want one more author and no two", n)
	}
	value := make([]byte, crdt.MaxValue)
	for i := range value {
		value[i] = byte(i*i>>3 ^ i>>7)
	}
	if _, err := l.d.Update(ctx, crdt.LWWRegister, "r", func(o crdt.Object, now Now) (crdt.Op, bool) {
		return o.(*crdt.RegisterState).Set(now.Time, value), true
	}); err != nil {
		t.Fatal(err)
	}
	l.sync(t)
	select {
	case <-l.ended:
		t.Fatal("the committer gave up")
	default:
	}
	wide := make([][]byte, 3)
	for i := range wide {
		wide[i] = value
	}
	if _, err := l.d.Update(ctx, crdt.Sequence, "s", func(o crdt.Object, _ Now) (crdt.Op, bool) {
		return o.(*crdt.SequenceState).InsertAt(0, wide), true
	}); !errors.Is(err, errTooLarge) {
		t.Errorf("an op larger than an entry: %v, want %v", err, errTooLarge)
	}
	l.sync(t)
}

// Load that lasts widens the window; a burst, however large, does not.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		name         string
		commits      int
		every        time.Duration
		ops, entries int
		want         time.Duration
	}{
		{"alone", 1000, 50 * time.Millisecond, 1, 1, minWindow},
		{"a burst", 1, minWindow, 1000, 4, minWindow},
		{"a burst a second", 20, time.Second, 1000, 4, minWindow},
		{"many entries", 1000, minWindow, 1, 1, maxWindow},
		{"many ops", 1000, minWindow, 100, 0, maxWindow},
	} {
		now := time.Unix(1000, 0)
		l := load{last: now}
		for range c.commits {
			now = now.Add(c.every)
			l.note(now, c.ops, c.entries)
		}
		if got := l.window(); got != c.want {
			t.Errorf("%s: window of %v, want %v", c.name, got, c.want)
		}
	}
}
