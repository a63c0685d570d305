package crdt

// Dots as sorted runs.

import "slices"

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
