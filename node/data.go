package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/member"
)

// Data reads and changes the objects of a replica in the terms of the command.
type Data struct {
	r    *replica.Replica
	book *member.Book // nil in an open network
	name string       // of the network
}

// OpenData opens the data of a directory on which no node runs. Close it. What
// is changed reaches the other nodes when a node runs there next. With readOnly
// nothing is begun: not a store, not a dataset.
func OpenData(cfg Config, readOnly bool) (*Data, io.Closer, error) {
	why := toChange
	if readOnly {
		why = toRead
		if _, err := os.Stat(cfg.file(storeDir)); err != nil {
			return nil, nil, fmt.Errorf("data directory %s: no node has ever run there: name another with --data", cfg.Data)
		}
	}
	key, err := makeData(&cfg)
	if err != nil {
		return nil, nil, err
	}
	s, err := openState(&cfg, why, nil, key, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.replica.Run(ctx) }()
	return &Data{s.replica, s.book, cfg.Network}, closer(func() error {
		cancel()
		return errors.Join(<-done, s.store.Close())
	}), nil
}

type closer func() error

func (c closer) Close() error { return c() }

func (d *Data) find(dataset, family string) (*replica.Dataset, crdt.Family, error) {
	f, err := crdt.ParseFamily(family)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: family %q: want gcounter, pncounter, lww-register, lww-map, orset or rga", api.ErrUsage, family)
	}
	x, err := d.dataset(dataset)
	return x, f, err
}

// Get reads an object.
func (d *Data) Get(dataset, family, key string) (api.Value, error) {
	x, f, err := d.find(dataset, family)
	if err != nil {
		return api.Value{}, err
	}
	return value(x, f, key)
}

func value(d *replica.Dataset, f crdt.Family, key string) (api.Value, error) {
	v := api.Value{Family: f.String(), Key: key}
	err := d.View(f, key, func(o crdt.Object) {
		switch o := o.(type) {
		case *crdt.GCounterState:
			v.Count = strconv.FormatUint(o.Value(), 10)
		case *crdt.PNCounterState:
			v.Count = strconv.FormatInt(o.Value(), 10)
		case *crdt.RegisterState:
			if b, ok := o.Get(); ok {
				s := string(b)
				v.Text = &s
			}
		case *crdt.MapState:
			v.Fields = make(map[string]string, o.Len())
			o.Range(func(field, b []byte) bool { v.Fields[string(field)] = string(b); return true })
		case *crdt.SetState:
			o.Range(func(elem []byte) bool { v.List = append(v.List, string(elem)); return true })
		case *crdt.SequenceState:
			o.Range(func(_ crdt.Dot, b []byte) bool { v.List = append(v.List, string(b)); return true })
		}
	})
	return v, err
}

// Apply applies a change in memory; Sync waits until it is on disk.
func (d *Data) Apply(ctx context.Context, c api.Change) error {
	x, f, err := d.find(c.Dataset, c.Family)
	if err != nil {
		return err
	}
	op, err := change(f, c)
	if err != nil {
		return err
	}
	_, err = x.Update(ctx, f, c.Key, op)
	return err
}

// Sync waits until what was applied is on disk.
func (d *Data) Sync(ctx context.Context) error { return d.r.Sync(ctx) }

// Change applies a change, waits until it is on disk, and returns the value.
func (d *Data) Change(ctx context.Context, c api.Change) (api.Value, error) {
	if err := d.Apply(ctx, c); err != nil {
		return api.Value{}, err
	}
	if err := d.Sync(ctx); err != nil {
		return api.Value{}, err
	}
	return d.Get(c.Dataset, c.Family, c.Key)
}

type update = func(crdt.Object, replica.Now) (crdt.Op, bool)

func change(f crdt.Family, c api.Change) (update, error) {
	args := func(want int, what string) error {
		if len(c.Args) != want {
			return fmt.Errorf("%w: data %s %s: want %s", api.ErrUsage, c.Verb, c.Family, what)
		}
		for i, a := range c.Args {
			limit := crdt.MaxField
			if i == len(c.Args)-1 && (c.Verb == "set" || f == crdt.Sequence) {
				limit = crdt.MaxValue
			}
			if len(a) > limit {
				return fmt.Errorf("%w: data %s: argument of %d bytes, at most %d", api.ErrUsage, c.Verb, len(a), limit)
			}
		}
		return nil
	}
	switch {
	case c.Verb == "inc" && (f == crdt.GCounter || f == crdt.PNCounter):
		return increment(f, c)
	case c.Verb == "set" && f == crdt.LWWRegister:
		return func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.RegisterState).Set(now.Time, []byte(c.Args[0])), true
		}, args(1, "KEY VALUE")
	case c.Verb == "set" && f == crdt.LWWMap:
		return func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.MapState).Set(now.Time, []byte(c.Args[0]), []byte(c.Args[1])), true
		}, args(2, "KEY FIELD VALUE")
	case c.Verb == "remove" && f == crdt.LWWMap:
		return func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.MapState).Remove(now.Time, []byte(c.Args[0])), true
		}, args(1, "KEY FIELD")
	case c.Verb == "add" && f == crdt.ORSet:
		return func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			return o.(*crdt.SetState).Add([]byte(c.Args[0])), true
		}, args(1, "KEY ELEMENT")
	case c.Verb == "remove" && f == crdt.ORSet:
		return func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			return o.(*crdt.SetState).Remove([]byte(c.Args[0]))
		}, args(1, "KEY ELEMENT")
	case c.Verb == "add" && f == crdt.Sequence:
		return func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			s := o.(*crdt.SequenceState)
			return s.InsertAt(s.Len(), [][]byte{[]byte(c.Args[0])}), true
		}, args(1, "KEY VALUE")
	case c.Verb == "remove" && f == crdt.Sequence:
		if err := args(1, "KEY INDEX"); err != nil {
			return nil, err
		}
		at, err := strconv.Atoi(c.Args[0])
		if err != nil || at < 0 {
			return nil, fmt.Errorf("%w: data remove rga: index %q: want a number from 0", api.ErrUsage, c.Args[0])
		}
		return func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			s := o.(*crdt.SequenceState)
			if at >= s.Len() {
				return crdt.Op{}, false
			}
			return s.DeleteRange(at, 1), true
		}, nil
	}
	return nil, fmt.Errorf("%w: data %s does not go with %s: set is for lww-register and lww-map, inc for counters, "+
		"add for orset and rga, remove for lww-map, orset and rga", api.ErrUsage, c.Verb, c.Family)
}

func increment(f crdt.Family, c api.Change) (update, error) {
	text := "1"
	if len(c.Args) > 0 {
		text = c.Args[0]
	}
	bad := fmt.Errorf("%w: data inc %s: %q: want a whole number", api.ErrUsage, c.Family, text)
	if len(c.Args) > 1 {
		return nil, fmt.Errorf("%w: data inc %s: want KEY [N]", api.ErrUsage, c.Family)
	}
	if f == crdt.GCounter {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w of 0 or more", bad)
		}
		return func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.GCounterState).Inc(now.Author, n), true
		}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, bad
	}
	return func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		p := o.(*crdt.PNCounterState)
		if n < 0 {
			return p.Dec(now.Author, uint64(-n)), true // -MinInt64 wraps to itself: 2⁶³
		}
		return p.Inc(now.Author, uint64(n)), true
	}, nil
}

// Watch calls changed with an object's value now and after each change.
func (d *Data) Watch(ctx context.Context, dataset, family, key string, changed func(api.Value) error) error {
	x, f, err := d.find(dataset, family)
	if err != nil {
		return err
	}
	w := x.Watch(key)
	defer w.Close()
	for {
		v, err := value(x, f, key)
		if err == nil {
			err = changed(v)
		}
		if err != nil {
			return err
		}
		for relevant := false; !relevant; {
			objects, overflow, err := w.Next(ctx)
			if err != nil {
				return err
			}
			relevant = overflow
			for _, o := range objects {
				relevant = relevant || o.Object == replica.Object{Family: f, Key: key}
			}
		}
	}
}
