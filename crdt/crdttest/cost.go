package crdttest

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// CostGrowth is the size of the second input of CheckCost, as a multiple of the first.
const CostGrowth = 4

const (
	maxTimeRatio = 10 // 4 to 6 for n log n, with what caches do to it; 16 for n²
	maxMemRatio  = 6
	costTries    = 5 // a busy machine can spoil a measurement, not five
	leastTime    = 50 * time.Microsecond
	leastBytes   = 64 << 10
)

// CheckCost fails if a step takes more than in proportion: it is run at a size n
// and at CostGrowth times that, in time and in bytes that it allocates. prepare
// makes the input and returns what is measured. Measuring takes time: it is left
// out with -short.
func CheckCost(t *testing.T, n int, prepare func(n int) func()) {
	t.Helper()
	if testing.Short() {
		t.Skip("measures time")
	}
	var said string
	for range costTries {
		small, smallBytes := cost(n, prepare)
		large, largeBytes := cost(CostGrowth*n, prepare)
		inTime := float64(large) / float64(max(small, leastTime))
		inBytes := float64(largeBytes) / float64(max(smallBytes, leastBytes))
		said = fmt.Sprintf("n = %d: %v, %d KiB; %d: %v, %d KiB: %.1f × the time and %.1f × the bytes",
			n, small, smallBytes>>10, CostGrowth*n, large, largeBytes>>10, inTime, inBytes)
		if inTime <= maxTimeRatio && inBytes <= maxMemRatio {
			t.Log(said)
			return
		}
	}
	t.Error(said)
}

// cost is the least time and the least bytes allocated, by the whole process, of
// three runs.
func cost(n int, prepare func(n int) func()) (took time.Duration, bytes uint64) {
	took, bytes = time.Hour, math.MaxUint64
	for range 3 {
		run := prepare(n)
		runtime.GC()
		collect := debug.SetGCPercent(-1) // what runs beside is not measured
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		run()
		took = min(took, time.Since(began))
		debug.SetGCPercent(collect)
		runtime.ReadMemStats(&after)
		bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return took, bytes
}
