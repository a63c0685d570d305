package bench

import (
	"math"
	"slices"
	"time"
)

// Unit is what a figure counts.
type Unit string

// The units.
const (
	Count          Unit = "count"
	PerSecond      Unit = "1/s"
	Nanoseconds    Unit = "ns"
	Bytes          Unit = "B"
	BytesPerSecond Unit = "B/s"
	Ratio          Unit = "ratio"
)

// Figure is one number that a scenario measured.
type Figure struct {
	Name  string
	Unit  Unit
	Value float64
}

// Result is what one run of a scenario measured, in the order to print it.
type Result []Figure

func (r *Result) add(name string, u Unit, v float64) { *r = append(*r, Figure{name, u, v}) }

func (r *Result) count(name string, n int)           { r.add(name, Count, float64(n)) }
func (r *Result) time(name string, d time.Duration)  { r.add(name, Nanoseconds, float64(d)) }
func (r *Result) bytes(name string, n int64)         { r.add(name, Bytes, float64(n)) }
func (r *Result) perSecond(name string, per float64) { r.add(name, PerSecond, per) }

// work is what every scenario begins with. It returns ops a second.
func (r *Result) work(ops int, took time.Duration) (perSecond float64) {
	perSecond = float64(ops) / took.Seconds()
	r.count("ops", ops)
	r.time("elapsed", took)
	r.perSecond("ops/s", perSecond)
	return perSecond
}

// latency adds how long a thing took, which it sorts.
func (r *Result) latency(name string, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	r.time(name+" p50", percentile(took, .50))
	r.time(name+" p95", percentile(took, .95))
	r.time(name+" p99", percentile(took, .99))
	r.time(name+" max", took[len(took)-1])
}

// percentile is the least of the sorted times that a share of p of them does
// not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[max(int(math.Ceil(p*float64(len(sorted)))), 1)-1]
}

// of adds a limit of the machine and which part of it was reached.
func (r *Result) of(limit string, u Unit, is, reached float64) {
	r.add("limit: "+limit, u, is)
	r.add("ratio to "+limit, Ratio, reached/is)
}

// above adds a time that nothing can go below and how many of it were taken.
func (r *Result) above(limit string, is, took time.Duration) {
	r.time("limit: "+limit, is)
	r.add("ratio to "+limit, Ratio, float64(took)/float64(is))
}

// resident adds the memory that this process has in RAM; nothing where the
// system does not say.
func (r *Result) resident(bytes int64) {
	if bytes > 0 {
		r.bytes("RSS", bytes)
	}
}
