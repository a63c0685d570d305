package bench

import "slices"

// Report is a scenario's figures over its runs.
type Report struct {
	Scenario string    `json:"scenario"`
	Flags    string    `json:"flags"` // the parameters it ran with, defaults too
	Runs     int       `json:"runs"`
	Figures  []Summary `json:"figures"`
}

// Summary is one figure over all runs.
type Summary struct {
	Name   string    `json:"name"`
	Unit   Unit      `json:"unit"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Runs   []float64 `json:"runs"` // in the order they ran
}

func report(s Scenario, p Params, runs []Result) Report {
	r := Report{Scenario: s.Name, Flags: s.Flags(p), Runs: len(runs)}
	index := make(map[string]int)
	for _, run := range runs {
		for _, f := range run {
			i, ok := index[f.Name]
			if !ok {
				i = len(r.Figures)
				index[f.Name] = i
				r.Figures = append(r.Figures, Summary{Name: f.Name, Unit: f.Unit})
			}
			r.Figures[i].Runs = append(r.Figures[i].Runs, f.Value)
		}
	}
	for i := range r.Figures {
		f := &r.Figures[i]
		f.Median, f.Min, f.Max = median(f.Runs), slices.Min(f.Runs), slices.Max(f.Runs)
	}
	return r
}

// median is the mean of the middle two of an even number.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
