package node

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/api"
)

// exported is one object as `data export` writes it, a line of JSON each:
//
//	{"family":"gcounter","key":"visits","count":"42"}
//	{"family":"lww-register","key":"title","text":"…"}
//	{"family":"lww-map","key":"m","fields":[["a","1"],["b","2"]]}
//	{"family":"orset","key":"s","list":["x","y"]}
//
// With "base64":true every string of the line but the family is base64, for
// bytes that are not UTF-8. It is values that are exported, not history: an
// import writes them as new ops.
type exported struct {
	Family string      `json:"family"`
	Key    string      `json:"key"`
	Base64 bool        `json:"base64,omitempty"`
	Count  string      `json:"count,omitempty"`
	Text   *string     `json:"text,omitempty"`
	Fields [][2]string `json:"fields,omitempty"`
	List   []string    `json:"list,omitempty"`
}

// strings calls f for every string of the line that holds user data.
func (x *exported) strings(f func(*string) error) error {
	all := []*string{&x.Key}
	if x.Text != nil {
		all = append(all, x.Text)
	}
	for i := range x.Fields {
		all = append(all, &x.Fields[i][0], &x.Fields[i][1])
	}
	for i := range x.List {
		all = append(all, &x.List[i])
	}
	for _, s := range all {
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

var errBinary = errors.New("not UTF-8")

func (x *exported) encode() ([]byte, error) {
	binary := x.strings(func(s *string) error {
		if !utf8.ValidString(*s) {
			return errBinary
		}
		return nil
	})
	if x.Base64 = binary != nil; x.Base64 {
		_ = x.strings(func(s *string) error { *s = base64.StdEncoding.EncodeToString([]byte(*s)); return nil })
	}
	return json.Marshal(x)
}

func decodeExported(line []byte) (x exported, f crdt.Family, err error) {
	if err := json.Unmarshal(line, &x); err != nil {
		return x, 0, err
	}
	if x.Base64 {
		if err := x.strings(func(s *string) error {
			b, err := base64.StdEncoding.DecodeString(*s)
			*s = string(b)
			return err
		}); err != nil {
			return x, 0, err
		}
	}
	f, err = crdt.ParseFamily(x.Family)
	return x, f, err
}

// Export writes every object of a dataset that has a value, a line each.
func (d *Data) Export(ctx context.Context, dataset string, w io.Writer) error {
	x, err := d.dataset(dataset)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	var failed error
	err = x.Objects(ctx, func(o replica.Object) bool {
		var line exported
		var b []byte
		if failed = x.View(o.Family, o.Key, func(s crdt.Object) { line = export(o, s) }); failed == nil {
			b, failed = line.encode()
		}
		if failed == nil {
			_, failed = out.Write(append(b, '\n'))
		}
		return failed == nil
	})
	return errors.Join(err, failed, out.Flush())
}

func export(id replica.Object, o crdt.Object) exported {
	x := exported{Family: id.Family.String(), Key: id.Key}
	switch o := o.(type) {
	case *crdt.GCounterState:
		x.Count = strconv.FormatUint(o.Value(), 10)
	case *crdt.PNCounterState:
		x.Count = strconv.FormatInt(o.Value(), 10)
	case *crdt.RegisterState:
		if b, ok := o.Get(); ok {
			s := string(b)
			x.Text = &s
		}
	case *crdt.MapState:
		o.Range(func(f, v []byte) bool { x.Fields = append(x.Fields, [2]string{string(f), string(v)}); return true })
	case *crdt.SetState:
		o.Range(func(e []byte) bool { x.List = append(x.List, string(e)); return true })
	case *crdt.SequenceState:
		o.Range(func(_ crdt.Dot, v []byte) bool { x.List = append(x.List, string(v)); return true })
	}
	return x
}

// maxExported is the longest line of an import: the largest sequence that fits
// some memory.
const maxExported = 256 << 20

// Import brings the objects of an export to the values that it has: registers
// and map fields are set, missing set elements added, counters counted up or
// down by the difference, empty sequences filled. What is here and not in the
// export stays, and so do sequences that are not empty and counters that would
// have to be counted down and cannot. Doing it twice changes nothing more. It
// returns how many objects changed and how many were left as they are.
func (d *Data) Import(ctx context.Context, dataset string, r io.Reader) (done api.Imported, err error) {
	x, err := d.dataset(dataset)
	if err != nil {
		return done, err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxExported)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		line, f, err := decodeExported(lines.Bytes())
		if err != nil {
			err = fmt.Errorf("%w: %w", api.ErrUsage, err)
		}
		changed := false
		if err == nil {
			changed, err = importObject(ctx, x, f, &line)
		}
		if err != nil {
			return done, errors.Join(fmt.Errorf("import: line %d: %w; the %d objects before it are imported", n, err, done.Changed+done.Left), d.Sync(ctx))
		}
		if changed {
			done.Changed++
		} else {
			done.Left++
		}
	}
	if err := lines.Err(); err != nil {
		return done, fmt.Errorf("import: %w", err)
	}
	return done, d.Sync(ctx)
}

func importObject(ctx context.Context, x *replica.Dataset, f crdt.Family, line *exported) (changed bool, err error) {
	do := func(u update) {
		if err != nil {
			return
		}
		var dot crdt.Dot
		dot, err = x.Update(ctx, f, line.Key, u)
		changed = changed || dot.Seq > 0
	}
	switch f {
	case crdt.GCounter:
		var n uint64
		if n, err = strconv.ParseUint(line.Count, 10, 64); err != nil {
			err = fmt.Errorf("%w: count: %w", api.ErrUsage, err)
		} else {
			do(func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
				c := o.(*crdt.GCounterState)
				return c.Inc(now.Author, n-min(n, c.Value())), n > c.Value()
			})
		}
	case crdt.PNCounter:
		var n int64
		if n, err = strconv.ParseInt(line.Count, 10, 64); err != nil {
			err = fmt.Errorf("%w: count: %w", api.ErrUsage, err)
		} else {
			do(func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
				c := o.(*crdt.PNCounterState)
				if v := c.Value(); n < v {
					return c.Dec(now.Author, uint64(v)-uint64(n)), true
				}
				return c.Inc(now.Author, uint64(n)-uint64(c.Value())), n != c.Value()
			})
		}
	case crdt.LWWRegister:
		if line.Text != nil {
			do(func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
				r := o.(*crdt.RegisterState)
				old, ok := r.Get()
				return r.Set(now.Time, []byte(*line.Text)), !ok || string(old) != *line.Text
			})
		}
	case crdt.LWWMap:
		for _, fv := range line.Fields {
			do(func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
				m := o.(*crdt.MapState)
				old, ok := m.Get([]byte(fv[0]))
				return m.Set(now.Time, []byte(fv[0]), []byte(fv[1])), !ok || string(old) != fv[1]
			})
		}
	case crdt.ORSet:
		for _, e := range line.List {
			do(func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
				s := o.(*crdt.SetState)
				return s.Add([]byte(e)), !s.Contains([]byte(e))
			})
		}
	case crdt.Sequence:
		at := 0
		for at < len(line.List) && err == nil {
			// As many elements as fit an entry; the first are only put into an
			// empty sequence.
			var values [][]byte
			for size := 0; at+len(values) < len(line.List) && len(values) < crdt.MaxOps && size < importBytes; {
				v := []byte(line.List[at+len(values)])
				values = append(values, v)
				size += len(v)
			}
			left := false
			do(func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
				s := o.(*crdt.SequenceState)
				left = at == 0 && s.Len() > 0
				return s.InsertAt(s.Len(), values), !left
			})
			if at += len(values); left {
				break
			}
		}
	}
	return changed, err
}

// importBytes is about how much of a sequence one op of an import inserts.
const importBytes = 512 << 10
