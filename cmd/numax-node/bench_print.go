package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/numax-mesh/numax/node/bench"
)

// printReport prints a scenario's figures, one a line; of several runs the
// median, and the least and the greatest behind it:
//
//	heal --ops 100000 --keys 100000, 5 runs
//	    ops/s                            301,000 /s   (288,000 to 322,000)
func printReport(w io.Writer, r bench.Report) error {
	title := strings.TrimSpace(r.Scenario + " " + r.Flags)
	if r.Runs > 1 {
		title += fmt.Sprintf(", medians of %d runs", r.Runs)
	}
	width := 0
	for _, f := range r.Figures {
		width = max(width, len(f.Name))
	}
	var b strings.Builder
	fmt.Fprintln(&b, title)
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "    %-*s  %12s", width, f.Name, showFigure(f.Unit, f.Median))
		if r.Runs > 1 && f.Min != f.Max {
			fmt.Fprintf(&b, "   (%s to %s)", showFigure(f.Unit, f.Min), showFigure(f.Unit, f.Max))
		}
		fmt.Fprintln(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// showFigure prints three significant digits with a unit, but counts in full.
func showFigure(u bench.Unit, v float64) string {
	switch u {
	case bench.Nanoseconds:
		return rounded(time.Duration(v)).String()
	case bench.Bytes:
		return showBytes(v)
	case bench.BytesPerSecond:
		return showBytes(v) + "/s"
	case bench.PerSecond:
		return grouped(threeDigits(v)) + " /s"
	case bench.Ratio:
		return strconv.FormatFloat(threeDigits(v), 'f', -1, 64) + " ×"
	}
	return grouped(v)
}

func rounded(d time.Duration) time.Duration {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}

// showBytes prints bytes in full below 10 kB, where each one counts.
func showBytes(v float64) string {
	if math.Abs(v) < 10_000 {
		return grouped(v) + " B"
	}
	units := []string{"kB", "MB", "GB", "TB"}
	i := 0
	for v /= 1000; v >= 1000 && i < len(units)-1; i++ {
		v /= 1000
	}
	return strconv.FormatFloat(threeDigits(v), 'f', -1, 64) + " " + units[i]
}

func threeDigits(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	if unit < 1 { // divide by a whole number: 0.1 is none
		n := math.Round(1 / unit)
		return math.Round(v*n) / n
	}
	return math.Round(v/unit) * unit
}

// grouped prints a number with a comma at each thousand.
func grouped(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	whole, rest, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	if strings.HasPrefix(s, "-") {
		whole = "-" + whole
	}
	return whole
}
