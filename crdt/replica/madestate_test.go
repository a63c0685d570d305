package replica

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// madeState is a state as a hostile peer makes it up.
type madeState struct {
	id   DatasetID
	logs map[crdt.Author]logHead
	head map[crdt.Author][]byte
	rows []stateRow // family ‖ esc(key) ‖ slot → cell
}

func newMadeState(id DatasetID) *madeState {
	return &madeState{id: id, logs: map[crdt.Author]logHead{}, head: map[crdt.Author][]byte{}}
}

// ends has an author's log end with an entry.
func (m *madeState) ends(e *Entry) *madeState {
	m.logs[e.Author] = logHead{have: e.Last(), head: e.ID}
	m.head[e.Author] = bytes.Clone(e.head())
	return m
}

// object adds the rows of an object after ops.
func (m *madeState) object(t *testing.T, f crdt.Family, key string, by crdt.Author, ops ...crdt.Op) *madeState {
	t.Helper()
	o, err := crdt.New(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		if _, err := o.Apply(by, &ops[i], crdt.Version{}); err != nil {
			t.Fatal(err)
		}
	}
	prefix := datastore.ObjectPrefix(nil, m.id, byte(f), []byte(key))[1+len(m.id):]
	o.Flush(func(slot, cell []byte) {
		m.rows = append(m.rows, stateRow{append(bytes.Clone(prefix), slot...), bytes.Clone(cell)})
	}, func([]byte) {})
	return m
}

// frames are the state as a peer sends it for a want.
func (m *madeState) frames(channel uint64) [][]byte {
	enc, packed, seal := m.encode()
	ch := uvarint(channel)
	return [][]byte{frame(frameState, ch, enc), frame(frameRows, ch, packed), frame(frameSeal, ch, seal), frame(frameDone, ch)}
}

func (m *madeState) encode() (enc, packed, seal []byte) {
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), 99))
	maker := (&testAuthor{key: key}).of(9)
	x := manifest{network: testNetwork, dataset: m.id, name: "d", author: maker, time: 1, epoch: 1, logs: m.logs}
	enc = x.encode()
	var rows, last []byte
	n := 0
	add := func(k, v []byte) { rows, last, n = appendRow(rows, last, k, v), k, n+1 }
	authors := slices.SortedFunc(func(yield func(crdt.Author) bool) {
		for a := range m.logs {
			if !yield(a) {
				return
			}
		}
	}, crdt.Author.Compare)
	for _, a := range authors {
		add(append([]byte{stateAcks}, a.Append(nil)...), (&ack{upto: m.logs[a].have, applied: crdt.Version{}}).append(nil))
	}
	for _, a := range authors {
		if signed := m.head[a]; signed != nil {
			add(append([]byte{stateHeads}, a.Append(nil)...), signed)
		}
	}
	slices.SortFunc(m.rows, func(a, b stateRow) int { return bytes.Compare(a.key, b.key) })
	for _, r := range m.rows {
		add(append([]byte{stateObjects}, r.key...), r.value)
	}
	packed = append([]byte{codecPlain}, rows...)
	h := newStateHash(enc)
	h.add(packed, n)
	return enc, packed, h.seal(key)
}

func (a *testAuthor) of(replica byte) crdt.Author {
	var b [crdt.AuthorSize]byte
	copy(b[:], a.key.Public().(ed25519.PublicKey))
	b[39] = replica
	return crdt.MakeAuthor(b)
}

// offer has a hostile peer answer each want of l with the state. ended is closed
// when l has closed the stream, and done when the state was sent once.
func (l *lone) offer(t *testing.T, m *madeState) (done, ended chan struct{}) {
	t.Helper()
	done, ended = make(chan struct{}), make(chan struct{})
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() { defer close(served); _ = l.Serve(context.Background(), "enemy", theirs) }()
	t.Cleanup(func() { _ = ours.Close(); <-served })
	out := make(chan []byte, 1024)
	go func() {
		for f := range out {
			if _, err := ours.Write(f); err != nil {
				return
			}
		}
	}()
	out <- frame(frameHello, []byte{syncVersion}, testNetwork[:])
	out <- frame(frameDatasets, m.id[:])
	out <- frame(frameRoot, make([]byte, rootSize))
	go func() {
		defer close(ended)
		r := bufio.NewReader(ours)
		sent := false
		for {
			kind, p, err := readFrame(r)
			if err != nil {
				return
			}
			if kind != frameWant {
				continue
			}
			w, err := decodeWant(p)
			if err != nil {
				return
			}
			for _, f := range m.frames(w.channel) {
				out <- f
			}
			if !sent {
				sent = true
				close(done)
			}
		}
	}()
	return done, ended
}

func setOp(seq uint64, at crdt.HLC, value string) crdt.Op {
	return crdt.Op{Seq: seq, Kind: crdt.Set, Time: at, Value: []byte(value)}
}

func (l *lone) register(t *testing.T, key string) (value string) {
	t.Helper()
	if err := l.d.View(crdt.LWWRegister, key, func(o crdt.Object) {
		v, _ := o.(*crdt.RegisterState).Get()
		value = string(v)
	}); err != nil {
		t.Fatal(err)
	}
	return value
}

// What a peer makes up of the logs of others is refused, and it is blamed.
func TestMadeUpLogs(t *testing.T) {
	for name, makeUp := range map[string]func(t *testing.T, honest *testAuthor, e *Entry, m *madeState){
		"a log to 2^62": func(_ *testing.T, a *testAuthor, e *Entry, m *madeState) {
			m.ends(e).logs[a.author] = logHead{have: 1 << 62, head: EntryID{1}}
		},
		"no head": func(_ *testing.T, a *testAuthor, e *Entry, m *madeState) {
			m.ends(e).logs[a.author] = logHead{have: 1 << 62, head: EntryID{1}}
			m.head = nil
		},
		"a head by somebody else": func(t *testing.T, a *testAuthor, _ *Entry, m *madeState) {
			forger := &testAuthor{key: ed25519.NewKeyFromSeed(append(make([]byte, 31), 77)), author: a.author, id: a.id, next: 9}
			e := forger.entry(t, nil, forger.inc("k"), func(h *Header) { h.Prev = EntryID{1} })
			m.ends(e)
		},
		"ops that the state does not contain": func(t *testing.T, a *testAuthor, e *Entry, m *madeState) {
			m.ends(e).object(t, crdt.LWWRegister, "balance", a.author, setOp(7, 1<<40, "forged"))
		},
		"our own log": func(t *testing.T, a *testAuthor, e *Entry, m *madeState) {
			us := &testAuthor{key: ed25519.NewKeyFromSeed(append(make([]byte, 31), 78)), author: ownAuthor, id: a.id, next: 9}
			m.ends(e).ends(us.entry(t, nil, us.inc("k"), func(h *Header) { h.Prev = EntryID{1} }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, "", datastore.Options{})
			ownAuthor = l.Author()
			honest := newTestAuthor(1, l.d.id)
			first := honest.entry(t, nil, crdt.Group{Family: crdt.LWWRegister, Key: []byte("balance"), Ops: []crdt.Op{setOp(1, 1, "100")}})
			l.gossip(message(first))
			second := honest.entry(t, nil, honest.inc("k")) // which nobody brings
			m := newMadeState(l.d.id)
			makeUp(t, honest, second, m)
			_, ended := l.offer(t, m)
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the peer is not cut off")
			}
			if got := l.register(t, "balance"); got != "100" {
				t.Errorf("balance is %q, want what its author wrote", got)
			}
			if n := l.stats.StatesJoined.Load(); n != 0 {
				t.Error("the state was taken")
			}
			if have := l.d.Version()[honest.author]; have > 1 {
				t.Errorf("the honest author's log goes to %d", have)
			}
			third := honest.entry(t, nil, honest.inc("k"))
			l.gossip(message(second))
			l.gossip(message(third))
			if got := l.count(t, "k"); got != 2 {
				t.Errorf("k = %d: what the author writes then is not taken", got)
			}
		})
	}
}

var ownAuthor crdt.Author // of the replica in the running case

// A state that shows the heads that authors signed is taken for what is new in it.
// What was applied here it cannot change, whatever it says.
func TestStateChangesNothingKnown(t *testing.T) {
	l := open(t, "", datastore.Options{})
	honest := newTestAuthor(1, l.d.id)
	l.gossip(message(honest.entry(t, nil, crdt.Group{Family: crdt.LWWRegister, Key: []byte("balance"), Ops: []crdt.Op{setOp(1, 1, "100")}})))
	l.gossip(message(honest.entry(t, nil, honest.inc("k"))))
	l.sync(t)
	last := honest.entry(t, nil, honest.inc("k"))
	m := newMadeState(l.d.id).ends(last)
	m.object(t, crdt.LWWRegister, "balance", honest.author, setOp(1, 1<<50, "forged"))
	m.object(t, crdt.GCounter, "other", honest.author, crdt.Op{Seq: 2, Kind: crdt.Inc, P: 1 << 40})
	m.object(t, crdt.GCounter, "k", honest.author, crdt.Op{Seq: 3, Kind: crdt.Inc, P: 2})
	l.offer(t, m)
	eventually(t, "the state is taken", func() bool { return l.stats.StatesJoined.Load() == 1 })
	if got := l.register(t, "balance"); got != "100" {
		t.Errorf("balance is %q: a state changed what was applied here", got)
	}
	if got := l.count(t, "other"); got != 0 {
		t.Errorf("other = %d: a state counts what was applied here", got)
	}
	if got := l.count(t, "k"); got != 2 {
		t.Errorf("k = %d: a state brought nothing new", got)
	}
	l.gossip(message(honest.entry(t, nil, honest.inc("k"))))
	if got := l.count(t, "k"); got != 3 {
		t.Errorf("k = %d: the log does not go on behind the state", got)
	}
}

// While another peer has the entries, no state is taken, though it is offered
// first.
func TestEntriesBeforeStates(t *testing.T) {
	l, other := open(t, "", datastore.Options{}), open(t, "", datastore.Options{})
	honest := newTestAuthor(1, l.d.id)
	entries := []*Entry{
		honest.entry(t, nil, crdt.Group{Family: crdt.LWWRegister, Key: []byte("balance"), Ops: []crdt.Op{setOp(1, 1, "100")}}),
		honest.entry(t, nil, honest.inc("k")),
	}
	for _, e := range entries {
		other.gossip(message(e))
	}
	other.sync(t)
	m := newMadeState(l.d.id).ends(entries[1])
	m.object(t, crdt.LWWRegister, "balance", honest.author, setOp(1, 1, "forged"))
	a, b := net.Pipe()
	go func() { _ = l.Serve(context.Background(), "other", a) }()
	go func() { _ = other.Serve(context.Background(), "l", b) }()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	eventually(t, "a session with the honest peer", func() bool { return l.shares("other") })
	l.offer(t, m)
	eventually(t, "the entries", func() bool { return l.count(t, "k") == 1 })
	if got := l.register(t, "balance"); got != "100" {
		t.Errorf("balance is %q, want what the entries say", got)
	}
	if n := l.stats.StatesJoined.Load(); n != 0 {
		t.Errorf("%d states were taken although a peer has the entries", n)
	}
}

// A peer that answered a moment ago is not waited for when it is asked once more:
// where several offer states, one of them is always being asked.
func TestAnsweredIsEnough(t *testing.T) {
	l, other := open(t, "", datastore.Options{}), open(t, "", datastore.Options{})
	a, b := net.Pipe()
	go func() { _ = l.Serve(context.Background(), "other", a) }()
	go func() { _ = other.Serve(context.Background(), "l", b) }()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	eventually(t, "a session", func() bool { return l.shares("other") })
	eventually(t, "an answer", func() bool { return l.noLogLeft(l.d, nil) })
	l.mu.Lock()
	s := l.sessions["other"]
	l.mu.Unlock()
	s.mu.Lock()
	const channel = 1 << 20
	s.asked[channel] = &asked{d: l.d, heard: l.now()}
	s.wants[l.d.id] = channel
	s.mu.Unlock()
	if !l.noLogLeft(l.d, nil) {
		t.Error("a peer that has just answered is waited for")
	}
}

// Where another peer is at the version of a state, and shows something else, the
// state is not taken; where it shows the same, it is, and where an administrator made
// it.
func TestStatesAreCompared(t *testing.T) {
	other := open(t, "", datastore.Options{})
	honest := newTestAuthor(1, other.d.id)
	first := honest.entry(t, nil, crdt.Group{Family: crdt.LWWRegister, Key: []byte("balance"), Ops: []crdt.Op{setOp(1, 1, "100")}})
	other.gossip(message(first))
	other.sync(t)
	for _, c := range []struct {
		value string
		admin string
		want  error
	}{
		{"100", "", nil},
		{"forged", "", errDisagree},
		{"forged", "other", errDisagree},
		{"new", "maker", nil},
	} {
		l := openOver(t, openStore(t), func(o *Options) {
			o.Administers = func(peer string) bool { return peer == c.admin }
		})
		enc, packed, _ := newMadeState(l.d.id).ends(first).object(t, crdt.LWWRegister, "balance", honest.author, setOp(1, 1, c.value)).encode()
		j, err := l.d.newJoin(enc, false)
		if err == nil {
			err = j.state.rows(packed)
		}
		if err == nil {
			err = j.state.close()
		}
		if err != nil {
			t.Fatal(err)
		}
		a, b := net.Pipe()
		go func() { _ = other.Serve(context.Background(), "l", b) }()
		go func() { _ = l.Serve(context.Background(), "other", a) }()
		eventually(t, "a session", func() bool { return l.shares("other") })
		if err := newSession(l.Replica, "maker", a).agree(context.Background(), j); err != c.want {
			t.Errorf("a state that shows %q, administrator %q: got %v, want %v", c.value, c.admin, err, c.want)
		}
		j.close()
		_ = a.Close()
	}
}

// shares reports whether a peer has said that it shares the dataset.
func (l *lone) shares(peer string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[peer]
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.theirs[l.d.id]
}
