package replicasim

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// view is an object as a user sees it; of a sequence also its elements' names.
type view struct {
	text string
	dots []crdt.Dot
}

// brief is a value in a few bytes.
func brief(v []byte) string {
	if len(v) <= 16 {
		return fmt.Sprintf("%q", v)
	}
	sum := blake3.Sum256(v)
	return fmt.Sprintf("%d:%s", len(v), hex.EncodeToString(sum[:6]))
}

// look reads an object.
func look(d *replica.Dataset, name object) (v view, err error) {
	err = d.View(name.family, name.key, func(o crdt.Object) {
		var list []string
		switch o := o.(type) {
		case *crdt.GCounterState:
			list = append(list, fmt.Sprint(o.Value()))
		case *crdt.PNCounterState:
			list = append(list, fmt.Sprint(o.Value()))
		case *crdt.RegisterState:
			if value, ok := o.Get(); ok {
				list = append(list, brief(value))
			}
		case *crdt.MapState:
			o.Range(func(f, v []byte) bool { list = append(list, brief(f)+"="+brief(v)); return true })
			slices.Sort(list)
		case *crdt.SetState:
			o.Range(func(e []byte) bool { list = append(list, brief(e)); return true })
			slices.Sort(list)
		case *crdt.SequenceState:
			o.Range(func(id crdt.Dot, value []byte) bool {
				list = append(list, brief(value))
				v.dots = append(v.dots, id)
				return true
			})
		}
		v.text = strings.Join(list, " ")
	})
	return v, err
}

// oracle computes what is visible from the ops that survived, by their content
// alone: no order of delivery, no state and no join of package crdt.
type oracle struct {
	sums   map[object]int64
	cells  map[cell]write
	adds   map[cell]map[crdt.Dot]bool // set elements by their adds
	taken  map[object]map[crdt.Dot]bool
	lists  map[object]map[crdt.Dot][]byte
	before map[object][][2]crdt.Dot // a sequence has the first before the second
	maybe  map[object]map[crdt.Dot]bool
}

type cell struct {
	object
	field string
}

// write is the winning write of a cell: of the highest (time, author, seq).
type write struct {
	time  crdt.HLC
	dot   crdt.Dot
	value []byte
	gone  bool
}

func (w write) above(x write) bool {
	if w.time != x.time {
		return w.time > x.time
	}
	return w.dot.Compare(x.dot) > 0
}

func newOracle() *oracle {
	return &oracle{
		sums: make(map[object]int64), cells: make(map[cell]write), adds: make(map[cell]map[crdt.Dot]bool),
		taken: make(map[object]map[crdt.Dot]bool), lists: make(map[object]map[crdt.Dot][]byte),
		before: make(map[object][][2]crdt.Dot), maybe: make(map[object]map[crdt.Dot]bool),
	}
}

// put is m[k][d] = v with the inner map made when needed.
func put[K comparable, V any](m map[K]map[crdt.Dot]V, k K, d crdt.Dot, v V) {
	if m[k] == nil {
		m[k] = make(map[crdt.Dot]V)
	}
	m[k][d] = v
}

// op takes one op in, in any order.
func (o *oracle) op(author crdt.Author, r record) {
	dot := crdt.Dot{Author: author, Seq: r.op.Seq}
	for _, run := range r.op.Dots {
		for k := range run.Len {
			put(o.taken, r.name, crdt.Dot{Author: run.Author, Seq: run.First + k}, true)
		}
	}
	at := cell{r.name, string(r.op.Field)}
	switch r.name.family {
	case crdt.GCounter, crdt.PNCounter:
		o.sums[r.name] += r.by
	case crdt.LWWRegister, crdt.LWWMap:
		w := write{r.op.Time, dot, r.op.Value, r.op.Kind == crdt.Remove}
		if old, ok := o.cells[at]; !ok || w.above(old) {
			o.cells[at] = w
		}
	case crdt.ORSet:
		if r.op.Kind == crdt.Add {
			put(o.adds, at, dot, true)
		}
	case crdt.Sequence:
		if r.op.Kind != crdt.Insert {
			return
		}
		last := r.op.Left
		for k, v := range r.op.Values {
			d := crdt.Dot{Author: author, Seq: r.op.Seq + uint64(k)}
			put(o.lists, r.name, d, v)
			o.before[r.name] = append(o.before[r.name], [2]crdt.Dot{last, d})
			last = d
		}
		o.before[r.name] = append(o.before[r.name], [2]crdt.Dot{last, r.op.Right})
	}
}

// check compares an object with what it should be.
func (o *oracle) check(name object, got view) error {
	var list []string
	switch name.family {
	case crdt.GCounter, crdt.PNCounter:
		list = append(list, fmt.Sprint(o.sums[name]))
	case crdt.LWWRegister, crdt.LWWMap:
		for c, w := range o.cells {
			switch {
			case c.object != name || w.gone:
			case name.family == crdt.LWWMap:
				list = append(list, brief([]byte(c.field))+"="+brief(w.value))
			default:
				list = append(list, brief(w.value))
			}
		}
	case crdt.ORSet:
		for c, dots := range o.adds {
			if c.object != name {
				continue
			}
			for d := range dots {
				if !o.taken[name][d] {
					list = append(list, brief([]byte(c.field)))
					break
				}
			}
		}
	case crdt.Sequence:
		return o.checkSequence(name, got)
	}
	slices.Sort(list)
	if want := strings.Join(list, " "); got.text != want {
		return fmt.Errorf("%v %q is %s, the oracle says %s", name.family, name.key, got.text, want)
	}
	return nil
}

// checkSequence checks which elements are there, and that each lies between
// the neighbours it was inserted between.
func (o *oracle) checkSequence(name object, got view) error {
	at := make(map[crdt.Dot]int)
	for k, d := range got.dots {
		at[d] = k
		if _, ok := o.lists[name][d]; !ok || o.taken[name][d] {
			return fmt.Errorf("sequence %q shows %v, which was deleted or never inserted", name.key, d)
		}
	}
	for d := range o.lists[name] {
		if _, ok := at[d]; !ok && !o.taken[name][d] && !o.maybe[name][d] {
			return fmt.Errorf("sequence %q lacks %v", name.key, d)
		}
	}
	for _, p := range o.before[name] {
		a, ok := at[p[0]]
		b, also := at[p[1]]
		if ok && also && a >= b {
			return fmt.Errorf("sequence %q has %v at %d, not before %v at %d", name.key, p[0], a, p[1], b)
		}
	}
	return nil
}
