package module

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits bound what a module takes from its node.
type Limits struct {
	Memory    int64         // bytes of an instance
	Deadline  time.Duration // of a call
	CPU       int64         // percent of one core, over a second, of all instances
	Ops       int64         // writes a second
	Bytes     int64         // bytes written a second: replicated, private, sent
	Instances int64         // of a function, at once; a service has one
	Mailbox   int64         // events that wait
	Storage   int64         // bytes of db_* keys and values, with 64 a pair besides, and of blobs, with 4 KiB each
}

// limitTable is what each limit is when a manifest does not say, and what it may
// be:
//
//	key        default  least  most    beyond it
//	memory     64MiB    64KiB  4GiB    memory.grow answers -1
//	deadline   10s      1ms    10m     the call traps
//	cpu        50%      1%     100%    the instance waits
//	ops        1000     1      100000  -7
//	bytes      1MiB     1KiB   64MiB   -7
//	instances  8        1      256     events wait in the mailbox
//	mailbox    256      1      65536   changes coalesce; senders are told
//	storage    64MiB    0B     64GiB   -7
var limitTable = []limit{
	{"memory", sizes, 64 << 20, 64 << 10, 4 << 30, func(l *Limits) *int64 { return &l.Memory }, func(d *limitsDoc) *any { return &d.Memory }},
	{"deadline", durations, int64(10 * time.Second), int64(time.Millisecond), int64(10 * time.Minute), func(l *Limits) *int64 { return (*int64)(&l.Deadline) }, func(d *limitsDoc) *any { return &d.Deadline }},
	{"cpu", percents, 50, 1, 100, func(l *Limits) *int64 { return &l.CPU }, func(d *limitsDoc) *any { return &d.CPU }},
	{"ops", counts, 1000, 1, 100_000, func(l *Limits) *int64 { return &l.Ops }, func(d *limitsDoc) *any { return &d.Ops }},
	{"bytes", sizes, 1 << 20, 1 << 10, 64 << 20, func(l *Limits) *int64 { return &l.Bytes }, func(d *limitsDoc) *any { return &d.Bytes }},
	{"instances", counts, 8, 1, 256, func(l *Limits) *int64 { return &l.Instances }, func(d *limitsDoc) *any { return &d.Instances }},
	{"mailbox", counts, 256, 1, 1 << 16, func(l *Limits) *int64 { return &l.Mailbox }, func(d *limitsDoc) *any { return &d.Mailbox }},
	{"storage", sizes, 64 << 20, 0, 64 << 30, func(l *Limits) *int64 { return &l.Storage }, func(d *limitsDoc) *any { return &d.Storage }},
}

type limit struct {
	key              string
	unit             unit
	def, least, most int64
	at               func(*Limits) *int64
	in               func(*limitsDoc) *any
}

// limitsDoc is the table [limits] as written.
type limitsDoc struct {
	Memory    any `toml:"memory,omitempty" json:"memory"`
	Deadline  any `toml:"deadline,omitempty" json:"deadline"`
	CPU       any `toml:"cpu,omitempty" json:"cpu"`
	Ops       any `toml:"ops,omitempty" json:"ops"`
	Bytes     any `toml:"bytes,omitempty" json:"bytes"`
	Instances any `toml:"instances,omitempty" json:"instances"`
	Mailbox   any `toml:"mailbox,omitempty" json:"mailbox"`
	Storage   any `toml:"storage,omitempty" json:"storage"`
}

// DefaultLimits are those of a manifest that names none.
func DefaultLimits() Limits {
	var l Limits
	for _, row := range limitTable {
		*row.at(&l) = row.def
	}
	return l
}

func (d *limitsDoc) limits() (Limits, error) {
	l := DefaultLimits()
	for _, row := range limitTable {
		v := *row.in(d)
		if v == nil {
			continue
		}
		n, ok := row.unit.parse(v)
		if !ok || n < row.least || n > row.most {
			return l, fmt.Errorf("%s: got %s: want %s from %v to %v", row.key, quoted(v), row.unit.what,
				row.unit.format(row.least), row.unit.format(row.most))
		}
		*row.at(&l) = n
	}
	return l, nil
}

func (l Limits) document() (d limitsDoc) {
	for _, row := range limitTable {
		*row.in(&d) = row.unit.format(*row.at(&l))
	}
	return d
}

// unit is how a number is written.
type unit struct {
	what   string
	parse  func(any) (int64, bool)
	format func(int64) any
}

var (
	counts = unit{
		"a number",
		func(v any) (int64, bool) { n, ok := v.(int64); return n, ok },
		func(n int64) any { return n },
	}
	percents = unit{
		`a share such as "25%",`,
		func(v any) (int64, bool) {
			s, _ := v.(string)
			s, ok := strings.CutSuffix(s, "%")
			n, err := strconv.ParseInt(s, 10, 64)
			return n, ok && err == nil
		},
		func(n int64) any { return strconv.FormatInt(n, 10) + "%" },
	}
	durations = unit{
		`a duration such as "500ms" or "2m",`,
		func(v any) (int64, bool) {
			s, _ := v.(string)
			d, err := time.ParseDuration(s)
			return int64(d), err == nil
		},
		func(n int64) any { return shortDuration(time.Duration(n)) },
	}
	sizes = unit{`a size such as "64MiB",`, parseSize, formatSize}
)

// shortDuration is 10m for 10m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func parseSize(v any) (int64, bool) {
	s, _ := v.(string)
	for _, u := range sizeUnits {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			return n * u.bytes, err == nil && n >= 0 && n <= math.MaxInt64/u.bytes
		}
	}
	return 0, false
}

func formatSize(n int64) any {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return "0B"
}
