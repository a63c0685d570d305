package crdt

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A set of runs has the numbers that were added and not taken, whatever the order,
// and its rows say the same.
func TestRunSet(t *testing.T) {
	a := testAuthor("a")
	rapid.Check(t, func(t *rapid.T) {
		const limit = 3000
		s, model := newRunSet(), map[uint64]bool{}
		stored := map[uint64][]byte{}
		step := uint64(rapid.SampledFrom([]int{1, 2, 7}).Draw(t, "step"))
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			first := rapid.Uint64Range(1, limit).Draw(t, "first")
			n := rapid.Uint64Range(1, 300).Draw(t, "len")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				var want, got []uint64
				for i := first; i < first+n; i++ {
					if model[i] {
						want = append(want, i)
					}
					delete(model, i)
				}
				for _, r := range s.take(DotRun{a, first, n}) {
					for i := r.first; i < r.end; i++ {
						got = append(got, i)
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("taken from %d, %d of them: got %v, want %v", first, n, got, want)
				}
			case 1:
				news := false
				for i := first; i < first+n; i++ {
					news = news || !model[i]
					model[i] = true
				}
				if got := s.add(DotRun{a, first, n}); got != news {
					t.Fatalf("adding %d, %d of them: got news %v, want %v", first, n, got, news)
				}
			default: // many runs, the last first
				for k := n / step; k > 0; k-- {
					s.add(DotRun{a, first + k*step, 1})
					model[first+k*step] = true
				}
			}
			if rapid.Bool().Draw(t, "flush") {
				s.of(a).flush(func(first uint64, cell []byte) { stored[first] = slices.Clone(cell) }, func(first uint64) { delete(stored, first) })
			}
			sameRuns(t, s, a, model, limit)
		}
		s.of(a).flush(func(first uint64, cell []byte) { stored[first] = slices.Clone(cell) }, func(first uint64) { delete(stored, first) })
		loaded := newRunSet()
		firsts := make([]uint64, 0, len(stored))
		for first := range stored {
			firsts = append(firsts, first)
		}
		slices.Sort(firsts)
		for _, first := range firsts {
			r := reader{b: stored[first]}
			if loaded.of(a).load(&r, first); r.err != nil {
				t.Fatalf("load the row of %d: %v", first, r.err)
			}
		}
		sameRuns(t, loaded, a, model, limit)
	})
}

func sameRuns(t *rapid.T, s *runSet, a Author, model map[uint64]bool, limit uint64) {
	var missing, want []uint64
	for i := uint64(1); i < limit+400; i++ {
		if s.has(Dot{a, i}) != model[i] {
			t.Fatalf("has %d: got %v, want %v", i, s.has(Dot{a, i}), model[i])
		}
		if !model[i] {
			want = append(want, i)
		}
	}
	for _, r := range s.of(a).missing(1, limit+400) {
		for i := r.first; i < r.end; i++ {
			missing = append(missing, i)
		}
	}
	if !slices.Equal(missing, want) {
		t.Fatalf("missing: got %v, want %v", missing, want)
	}
	if want := runListWeight + runWeight*s.count(a); s.weight != want {
		t.Fatalf("the set weighs %d, want %d", s.weight, want)
	}
	for _, c := range s.of(a).chunks {
		if len(c.runs) == 0 || len(c.runs) > maxChunkRuns {
			t.Fatalf("a chunk of %d runs", len(c.runs))
		}
	}
}

func TestRunSetJoins(t *testing.T) {
	a := testAuthor("a")
	s := newRunSet()
	for _, r := range []DotRun{{a, 10, 5}, {a, 1, 2}, {a, 3, 1}, {a, 20, 1}, {a, 14, 7}} {
		if !s.add(r) {
			t.Errorf("adding %v changed nothing", r)
		}
	}
	if got, want := s.lists[a].chunks[0].runs, []numRun{{1, 4}, {10, 21}}; !reflect.DeepEqual(got, want) {
		t.Errorf("runs: got %v, want %v", got, want)
	}
}
