package crdttest

// Traces of editors, and an oracle for the order of a sequence, from outside
// the project; skipped where they are absent.

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/crdt"
)

// patch is [position, deleted, inserted].
type patch struct {
	pos, del int
	ins      string
}

func (p *patch) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&p.pos, &p.del, &p.ins})
}

type txn struct {
	Span    [2]int
	Parents []int
	Agent   any
	Patches []patch
	Ops     []patch
}

type trace struct {
	StartContent, EndContent string
	Txns                     []txn
}

// readTrace finds shared/testdata above the package and reads a file of it.
func readTrace(tb testing.TB, name string, into any) {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		f, err := os.Open(filepath.Join(dir, "shared", "testdata", name))
		if err == nil {
			defer f.Close()
			z, err := gzip.NewReader(f)
			if err != nil {
				tb.Fatal(err)
			}
			if err := json.NewDecoder(z).Decode(into); err != nil {
				tb.Fatalf("read %s: %v", name, err)
			}
			return
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Skipf("no shared/testdata/%s above this folder", name)
		}
		dir = up
	}
}

func runes(s string) [][]byte {
	var out [][]byte
	for _, r := range s {
		out = append(out, []byte(string(r)))
	}
	return out
}

func text(o crdt.Object) string {
	var b strings.Builder
	o.(*crdt.SequenceState).Range(func(_ crdt.Dot, v []byte) bool {
		b.Write(v)
		return true
	})
	return b.String()
}

// edit makes a patch on r.
func edit(tb testing.TB, r *Replica, patches []patch) *Entry {
	s := r.Object.(*crdt.SequenceState)
	var makers []func() crdt.Op
	for _, p := range patches {
		if p.del > 0 {
			makers = append(makers, func() crdt.Op { return s.DeleteRange(p.pos, p.del) })
		}
		if p.ins != "" {
			makers = append(makers, func() crdt.Op { return s.InsertAt(p.pos, runes(p.ins)) })
		}
	}
	e, err := r.Write(makers...)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestOneAuthorTraces(t *testing.T) {
	for _, name := range []string{"automerge-paper", "sveltecomponent"} {
		t.Run(name, func(t *testing.T) {
			var tr trace
			readTrace(t, name+".json.gz", &tr)
			r, far := NewReplica(crdt.Sequence, Author("a")), NewReplica(crdt.Sequence, Author("b"))
			for i, tx := range tr.Txns {
				if err := far.Deliver(edit(t, r, tx.Patches)); err != nil {
					t.Fatal(err)
				}
				if i%1000 == 0 {
					r.Save()
				}
			}
			loaded, err := r.Clone()
			if err != nil {
				t.Fatal(err)
			}
			pulled := NewReplica(crdt.Sequence, Author("c"))
			if _, err := pulled.Merge(far); err != nil {
				t.Fatal(err)
			}
			for _, x := range []*Replica{r, far, loaded, pulled} {
				if got := text(x.Object); got != tr.EndContent {
					t.Fatalf("text of %d bytes, want %d others", len(got), len(tr.EndContent))
				}
			}
			size := 0
			for slot, cell := range r.Rows {
				size += len(slot) + len(cell)
			}
			t.Logf("%d txns, text %d bytes, rows %d (%d bytes), weight %d",
				len(tr.Txns), len(tr.EndContent), len(r.Rows), size, r.Object.Weight())
		})
	}
}

// ancestors returns the transactions i builds on, oldest first.
func ancestors(parents [][]int, i int) []int {
	seen := map[int]bool{}
	stack := append([]int{}, parents[i]...)
	for len(stack) > 0 {
		j := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !seen[j] {
			seen[j] = true
			stack = append(stack, parents[j]...)
		}
	}
	var out []int
	for j := range i {
		if seen[j] {
			out = append(out, j)
		}
	}
	return out
}

// replay plays a history in which every transaction is made on exactly what
// it builds on, and returns a replica with all of it.
func replay(t *testing.T, agents []string, parents [][]int, patches [][]patch) *Replica {
	type head struct {
		r    *Replica
		have map[int]bool
	}
	entries := make([]*Entry, len(agents))
	heads := map[string]*head{}
	numbers := map[string]uint64{}
	for i, agent := range agents {
		past := ancestors(parents, i)
		h := heads[agent]
		fits := h != nil && len(h.have) <= len(past)
		if fits {
			n := 0
			for _, j := range past {
				if h.have[j] {
					n++
				}
			}
			fits = n == len(h.have)
		}
		if !fits { // it forgot something since: start over
			h = &head{NewReplica(crdt.Sequence, Author(agent)), map[int]bool{}}
			heads[agent] = h
		}
		for _, j := range past {
			if !h.have[j] {
				clear(h.r.Version) // its authors forget, so a number covers nothing
				if err := h.r.Deliver(entries[j]); err != nil {
					t.Fatal(err)
				}
				h.have[j] = true
			}
		}
		h.r.Version[h.r.Author] = numbers[agent]
		entries[i] = edit(t, h.r, patches[i])
		h.have[i] = true
		numbers[agent] = h.r.Version[h.r.Author]
	}
	all := NewReplica(crdt.Sequence, Author("z"))
	for _, e := range entries {
		if e.Count > 0 {
			if err := all.Deliver(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// replayLong plays a trace whose authors never forget: each builds on all it
// wrote before.
func replayLong(tb testing.TB, tr *trace) *Replica {
	type agent struct {
		r    *Replica
		log  []int          // its transactions
		seen map[*agent]int // how many of the others' it applied
	}
	agents := map[any]*agent{}
	var order []*agent
	entries := make([]*Entry, len(tr.Txns))
	past := make([]map[*agent]int, len(tr.Txns)) // how many of each agent's are built on
	for i, tx := range tr.Txns {
		a := agents[tx.Agent]
		if a == nil {
			a = &agent{r: NewReplica(crdt.Sequence, Author(string(rune('a'+len(agents))))), seen: map[*agent]int{}}
			agents[tx.Agent] = a
			order = append(order, a)
		}
		have := map[*agent]int{}
		for _, p := range tx.Parents {
			for b, n := range past[p] {
				have[b] = max(have[b], n)
			}
		}
		for progress := true; progress; {
			progress = false
			for _, b := range order {
				for b != a && a.seen[b] < have[b] {
					e := entries[b.log[a.seen[b]]]
					if !a.r.Version.Dominates(e.Deps) {
						break
					}
					if err := a.r.Deliver(e); err != nil {
						tb.Fatal(err)
					}
					a.seen[b]++
					progress = true
				}
			}
		}
		entries[i] = edit(tb, a.r, tx.Patches)
		a.log = append(a.log, i)
		have[a] = len(a.log)
		past[i] = have
	}
	all := NewReplica(crdt.Sequence, Author("z"))
	for _, e := range entries {
		if e.Count > 0 {
			if err := all.Deliver(e); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return all
}

func TestManyAuthorTraces(t *testing.T) {
	for _, name := range []string{"friendsforever", "clownschool"} {
		t.Run(name, func(t *testing.T) {
			var tr trace
			readTrace(t, name+".json.gz", &tr)
			if got := text(replayLong(t, &tr).Object); got != tr.EndContent {
				t.Fatalf("text of %d bytes, want %d others", len(got), len(tr.EndContent))
			}
		})
	}
}

// Every history of the oracle must end in exactly its text.
func TestOrderOracle(t *testing.T) {
	var histories []trace
	readTrace(t, "conformance.json.gz", &histories)
	for i, h := range histories {
		byOp := map[int]int{} // operation → transaction
		var agents []string
		var parents [][]int
		var patches [][]patch
		for j, tx := range h.Txns {
			for op := tx.Span[0]; op < tx.Span[1]; op++ {
				byOp[op] = j
			}
			var ps []int
			for _, op := range tx.Parents {
				ps = append(ps, byOp[op])
			}
			agents = append(agents, tx.Agent.(string))
			parents = append(parents, ps)
			patches = append(patches, tx.Ops)
		}
		r := replay(t, agents, parents, patches)
		if got := text(r.Object); got != h.EndContent {
			t.Errorf("history %d: got %q, want %q", i, got, h.EndContent)
		}
		c, err := r.Clone()
		if err != nil {
			t.Fatal(err)
		}
		if got := text(c.Object); got != h.EndContent {
			t.Errorf("history %d, loaded: got %q, want %q", i, got, h.EndContent)
		}
	}
	t.Logf("%d histories", len(histories))
}

// BenchmarkPeer takes in the bodies of one author's text: decode, apply, and
// flush the rows after each.
func BenchmarkPeer(b *testing.B) {
	const perBody = 2500 // edits
	var tr trace
	readTrace(b, "automerge-paper.json.gz", &tr)
	r := NewReplica(crdt.Sequence, Author("a"))
	type body struct {
		bytes        []byte
		first, count uint64
	}
	var bodies []body
	size := 0
	for i := 0; i < len(tr.Txns); i += perBody {
		var patches []patch
		for _, tx := range tr.Txns[i:min(i+perBody, len(tr.Txns))] {
			patches = append(patches, tx.Patches...)
		}
		e := edit(b, r, patches)
		raw, err := crdt.EncodeBody([]crdt.Group{{Family: crdt.Sequence, Ops: e.Ops}}, e.Author, e.First, 0)
		if err != nil {
			b.Fatal(err)
		}
		bodies = append(bodies, body{raw, e.First, e.Count})
		size += len(raw)
	}
	b.ReportAllocs()
	for b.Loop() {
		far := NewReplica(crdt.Sequence, Author("b"))
		for _, x := range bodies {
			groups, err := crdt.DecodeBody(x.bytes, r.Author, x.first, x.count, 0)
			if err != nil {
				b.Fatal(err)
			}
			for i := range groups[0].Ops {
				if _, err := far.Object.Apply(r.Author, &groups[0].Ops[i], far.Version); err != nil {
					b.Fatal(err)
				}
			}
			far.Version[r.Author] = x.first + x.count - 1
			far.Object.Flush(func(_, _ []byte) {}, func([]byte) {})
		}
		if text(far.Object) != tr.EndContent {
			b.Fatal("wrong text")
		}
	}
	b.ReportMetric(float64(size), "body-bytes")
}

// BenchmarkTrace replays one author's text, edit by edit.
func BenchmarkTrace(b *testing.B) {
	for _, name := range []string{"automerge-paper", "sveltecomponent"} {
		b.Run(name, func(b *testing.B) {
			var tr trace
			readTrace(b, name+".json.gz", &tr)
			type step struct {
				pos, del int
				ins      [][]byte
			}
			var steps []step
			for _, tx := range tr.Txns {
				for _, p := range tx.Patches {
					steps = append(steps, step{p.pos, p.del, runes(p.ins)})
				}
			}
			a := Author("a")
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r := NewReplica(crdt.Sequence, a)
				s := r.Object.(*crdt.SequenceState)
				seq := uint64(1)
				play := func(op crdt.Op) {
					op.Seq = seq
					seq += op.Width()
					if _, err := s.Apply(a, &op, nil); err != nil {
						b.Fatal(err)
					}
				}
				for _, st := range steps {
					if st.del > 0 {
						play(s.DeleteRange(st.pos, st.del))
					}
					if len(st.ins) > 0 {
						play(s.InsertAt(st.pos, st.ins))
					}
				}
				if text(s) != tr.EndContent {
					b.Fatal("wrong text")
				}
			}
		})
	}
}
