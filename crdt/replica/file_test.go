package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// snapshotOf fills a replica and writes its snapshot.
func snapshotOf(t testing.TB) (*lone, []byte) {
	t.Helper()
	l := open(t, "", datastore.Options{})
	ctx := context.Background()
	update := func(f crdt.Family, key string, make func(crdt.Object, Now) crdt.Op) {
		if _, err := l.d.Update(ctx, f, key, func(o crdt.Object, now Now) (crdt.Op, bool) { return make(o, now), true }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 30 {
		v := fmt.Appendf(nil, "value %d", i)
		_ = l.inc("g")
		update(crdt.LWWMap, "m", func(o crdt.Object, now Now) crdt.Op { return o.(*crdt.MapState).Set(now.Time, v, v) })
		update(crdt.ORSet, "s", func(o crdt.Object, _ Now) crdt.Op { return o.(*crdt.SetState).Add(v) })
		update(crdt.Sequence, "t", func(o crdt.Object, _ Now) crdt.Op { return o.(*crdt.SequenceState).InsertAt(i/2, [][]byte{v}) })
	}
	update(crdt.Sequence, "t", func(o crdt.Object, _ Now) crdt.Op { return o.(*crdt.SequenceState).DeleteRange(3, 9) })
	if err := l.Keys("module").Set(ctx, []byte("key\x00"), []byte("a db_* value")); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	info, err := l.d.WriteSnapshot(ctx, &b)
	if err != nil || info.Ops != l.d.Version()[l.Author()] || info.Dataset != "d" || info.Rows == 0 {
		t.Fatalf("snapshot: %+v, %v", info, err)
	}
	return l, b.Bytes()
}

// A snapshot restored elsewhere is the same state, keys too; whoever restores
// writes on as another.
func TestSnapshot(t *testing.T) {
	l, file := snapshotOf(t)
	info, err := VerifySnapshot(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if head, err := ReadSnapshotInfo(bytes.NewReader(file)); err != nil || head.Ops != info.Ops || head.Time != info.Time {
		t.Errorf("info: %+v, then %+v (%v)", head, info, err)
	}
	other := open(t, "", datastore.Options{})
	before := other.Author()
	for range 2 { // the second time there is nothing new
		if _, err := other.Restore(context.Background(), bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		if a, b := l.text(t, "t"), other.text(t, "t"); a != b || other.count(t, "g") != 30 {
			t.Errorf("text %q, was %q; g = %d", b, a, other.count(t, "g"))
		}
		if v, ok, err := other.Keys("module").Get([]byte("key\x00")); string(v) != "a db_* value" || !ok || err != nil {
			t.Errorf("key: %q %v %v", v, ok, err)
		}
		if other.Author() == before || other.Author() == l.Author() {
			t.Error("the restored replica writes as it did")
		}
	}
	if err := other.inc("g"); err != nil || other.count(t, "g") != 31 {
		t.Errorf("a write after the restore: %v", err)
	}
}

// A snapshot that is not whole is refused, wherever the damage is, and changes
// nothing.
func TestDamagedSnapshot(t *testing.T) {
	_, file := snapshotOf(t)
	other := open(t, "", datastore.Options{})
	_ = other.inc("g")
	refuse := func(what string, b []byte) {
		t.Helper()
		if _, err := VerifySnapshot(bytes.NewReader(b)); !errors.Is(err, ErrNotSnapshot) {
			t.Errorf("verify with %s: %v", what, err)
		}
		if _, err := other.Restore(context.Background(), bytes.NewReader(b)); err == nil {
			t.Errorf("restore with %s", what)
		}
	}
	step := max(1, len(file)/200)
	for at := 0; at < len(file); at += step {
		bad := bytes.Clone(file)
		bad[at] ^= 0x10
		if at < len(snapshotMagic)+2 || at > len(file)-80 || at%7 == 0 {
			refuse(fmt.Sprintf("byte %d changed", at), bad)
		}
		if at%5 == 0 {
			refuse(fmt.Sprintf("%d bytes", at), file[:at])
		}
	}
	refuse("bytes behind it", append(bytes.Clone(file), 0))
	if other.count(t, "g") != 1 || other.text(t, "t") != "" {
		t.Errorf("g = %d, t = %q after refused snapshots", other.count(t, "g"), other.text(t, "t"))
	}
}

// FuzzSnapshot: no file makes a reader panic, and only sealed ones are taken.
func FuzzSnapshot(f *testing.F) {
	_, file := snapshotOf(f)
	f.Add(file)
	f.Add(file[:len(file)-1])
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := VerifySnapshot(bytes.NewReader(b))
		if err == nil && !bytes.Equal(b, file) {
			// Only who has a key makes another one.
			if info, err := ReadSnapshotInfo(bytes.NewReader(b)); err != nil || info.Author.IsZero() {
				t.Errorf("sealed by nobody: %v", err)
			}
		}
	})
}

// FuzzStateRows: rows decode to what they encode, in rising order, or not at
// all.
func FuzzStateRows(f *testing.F) {
	f.Add(appendRow(appendRow(nil, nil, []byte("oab"), []byte("1")), []byte("oab"), []byte("oac"), nil))
	f.Add([]byte{0, 1, 'x', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again, last []byte
		end, n, err := eachRow(b, nil, func(r stateRow) error {
			if bytes.Compare(r.key, last) <= 0 {
				t.Errorf("%x behind %x", r.key, last)
			}
			again = appendRow(again, last, r.key, r.value)
			last = bytes.Clone(r.key)
			return nil
		})
		if err != nil {
			return
		}
		m, k, err := eachRow(again, nil, func(stateRow) error { return nil })
		if err != nil || k != n || !bytes.Equal(end, m) {
			t.Errorf("%d rows to %x, then %d to %x (%v)", n, end, k, m, err)
		}
	})
}

// fuzzOne checks a decoder that has one spelling for each value.
func fuzzOne[T any](f *testing.F, seeds [][]byte, decode func([]byte) (T, error), encode func(T) []byte) {
	for _, s := range seeds {
		f.Add(s)
		f.Add(append(bytes.Clone(s), 0))
		if len(s) > 0 {
			f.Add(s[:len(s)-1])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err == nil && !bytes.Equal(encode(v), b) {
			t.Errorf("two spellings: %x and %x", b, encode(v))
		}
	})
}

func FuzzManifest(f *testing.F) {
	a := newTestAuthor(1, DatasetID{})
	m := manifest{network: testNetwork, name: "d", author: a.author, epoch: 3, logs: map[crdt.Author]logHead{a.author: {have: 7, head: EntryID{1}}}}
	fuzzOne(f, [][]byte{m.encode()}, decodeManifest, (*manifest).encode)
}

func FuzzProof(f *testing.F) {
	a, twin := newTestAuthor(1, DatasetID{}), newTestAuthor(1, DatasetID{})
	p := newProof(a.entry(f, nil, a.inc("a")), twin.entry(f, nil, twin.inc("b")))
	f.Add(p.raw)
	f.Add(p.raw[:len(p.raw)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeProof(b, anyProof); err == nil && p.author.IsZero() {
			t.Error("a proof against nobody")
		}
	})
}

func FuzzControl(f *testing.F) {
	seeds := [][]byte{
		control{kind: controlAck}.encode(),
		control{kind: controlAck, dead: summary{{1}: 2, {3}: 4}}.encode(),
		control{kind: controlRetire, who: authorHash{5}}.encode(),
	}
	fuzzOne(f, seeds, func(b []byte) (control, error) {
		c, ok, err := decodeControl(b)
		if err == nil && !ok {
			err = errors.New("of a later version")
		}
		return c, err
	}, control.encode)
}

func FuzzAck(f *testing.F) {
	a := newTestAuthor(1, DatasetID{})
	fuzzOne(f, [][]byte{(&ack{upto: 3, applied: crdt.Version{a.author: 9}}).append(nil)}, decodeAck,
		func(a *ack) []byte { return a.append(nil) })
}

func FuzzCare(f *testing.F) {
	a := newTestAuthor(1, DatasetID{})
	c := newCare()
	c.close(crdt.Version{a.author: 4})
	f.Add(c.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := decodeCare(b); err == nil && (c.epoch == 0 || c.gone > c.dead) {
			t.Errorf("%+v", c)
		}
	})
}
