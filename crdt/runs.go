package crdt

// Sets of dots as sorted runs.
//
//	| authors varint | authors × ( author 40 | runs varint | runs × ( gap varint | len varint ) ) |
//
// gap counts from the end of the run before (from 1 at first); runs of an
// author neither touch nor overlap.

import (
	"slices"
	"sort"
)

// runsOf sorts dots and returns them as runs.
func runsOf(dots []Dot) []DotRun {
	slices.SortFunc(dots, Dot.Compare)
	var runs []DotRun
	for _, d := range dots {
		if n := len(runs); n > 0 && runs[n-1].Author == d.Author && d.Seq <= runs[n-1].First+runs[n-1].Len {
			runs[n-1].Len = d.Seq - runs[n-1].First + 1
			continue
		}
		runs = append(runs, DotRun{d.Author, d.Seq, 1})
	}
	return runs
}

// appendRuns encodes sorted runs.
func appendRuns(dst []byte, runs []DotRun) []byte {
	authors := 0
	for i, r := range runs {
		if i == 0 || r.Author != runs[i-1].Author {
			authors++
		}
	}
	dst = appendUint(dst, uint64(authors))
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].Author == runs[0].Author {
			n++
		}
		dst = appendUint(runs[0].Author.Append(dst), uint64(n))
		end := uint64(1)
		for _, r := range runs[:n] {
			dst = appendUint(appendUint(dst, r.First-end), r.Len)
			end = r.First + r.Len
		}
		runs = runs[n:]
	}
	return dst
}

// readRuns reads what appendRuns wrote.
func readRuns(r *reader) []DotRun {
	var runs []DotRun
	var last Author
	for range r.count(AuthorSize + 3) {
		a := r.author()
		if r.err == nil && a.Compare(last) <= 0 {
			r.fail("authors out of order")
		}
		last = a
		end := uint64(1)
		for i := range r.count(2) {
			gap, n := r.upTo(MaxSeq), r.seq()
			run := DotRun{a, end + gap, n}
			if r.err == nil && (!run.valid() || i > 0 && gap == 0) {
				r.fail("bad run of dots")
			}
			if r.err != nil {
				return nil
			}
			runs = append(runs, run)
			end = run.First + run.Len
		}
	}
	return runs
}

// runSet is a set of dots as disjoint runs, sorted, for each author.
type runSet map[Author][]DotRun

// search returns the index of the first run that ends after seq.
func (s runSet) search(a Author, seq uint64) int {
	runs := s[a]
	return sort.Search(len(runs), func(i int) bool { return runs[i].First+runs[i].Len > seq })
}

func (s runSet) has(d Dot) bool {
	i := s.search(d.Author, d.Seq)
	return i < len(s[d.Author]) && s[d.Author][i].Contains(d)
}

// add adds a run, joining the runs it touches; false if all of it was there.
func (s runSet) add(r DotRun) bool {
	runs := s[r.Author]
	if n := len(runs); n == 0 || runs[n-1].First+runs[n-1].Len < r.First {
		s[r.Author] = append(runs, r)
		return true
	}
	i := sort.Search(len(runs), func(i int) bool { return runs[i].First+runs[i].Len >= r.First })
	first, end := r.First, r.First+r.Len
	j := i
	for ; j < len(runs) && runs[j].First <= end; j++ {
		if runs[j].First <= r.First && runs[j].First+runs[j].Len >= r.First+r.Len {
			return false
		}
		first, end = min(first, runs[j].First), max(end, runs[j].First+runs[j].Len)
	}
	s[r.Author] = slices.Replace(runs, i, j, DotRun{r.Author, first, end - first})
	return true
}

// take removes a run and returns what of it was there.
func (s runSet) take(r DotRun) []DotRun {
	runs := s[r.Author]
	i := s.search(r.Author, r.First)
	var taken, left []DotRun
	j := i
	for end := r.First + r.Len; j < len(runs) && runs[j].First < end; j++ {
		x := runs[j]
		xEnd := x.First + x.Len
		lo, hi := max(x.First, r.First), min(xEnd, end)
		taken = append(taken, DotRun{r.Author, lo, hi - lo})
		if x.First < lo {
			left = append(left, DotRun{r.Author, x.First, lo - x.First})
		}
		if hi < xEnd {
			left = append(left, DotRun{r.Author, hi, xEnd - hi})
		}
	}
	if len(taken) == 0 {
		return nil
	}
	if runs = slices.Replace(runs, i, j, left...); len(runs) == 0 {
		delete(s, r.Author)
	} else {
		s[r.Author] = runs
	}
	return taken
}
