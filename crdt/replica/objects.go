package replica

import (
	"context"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// objectsPage is how many objects are listed between two looks at the store.
const objectsPage = 256

// Objects calls visit for each object on disk whose family is known, in the
// order of families and keys, until visit returns false. Objects that come into
// being meanwhile may be left out; visit may read and change objects.
func (d *Dataset) Objects(ctx context.Context, visit func(Object) bool) error {
	return d.ObjectsUnder(ctx, "", visit)
}

// ObjectsUnder is Objects of those whose key starts with under. What is beside
// them costs nothing.
func (d *Dataset) ObjectsUnder(ctx context.Context, under string, visit func(Object) bool) error {
	if err := d.r.Sync(ctx); err != nil {
		return err
	}
	going := true
	for f := crdt.GCounter; f.Known() && going; f++ {
		err := d.objectsOf(ctx, f, under, func(o Object) bool { going = visit(o); return going })
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataset) objectsOf(ctx context.Context, family crdt.Family, under string, visit func(Object) bool) error {
	for from, more := []byte(nil), true; more; {
		d.mu.Lock()
		prefix := datastore.ObjectsUnder(d.cache.space, byte(family), []byte(under)) // another space after a join
		d.mu.Unlock()
		limit := datastore.After(prefix)
		var page []Object
		more = false
		var next []byte
		err := d.r.store.Scan(append(prefix, from...), limit, func(k, _ []byte) bool {
			f, key, _, ok := datastore.SplitObjectKey(k)
			o := Object{crdt.Family(f), string(key)}
			if !ok || !o.Family.Known() || len(page) > 0 && page[len(page)-1] == o {
				return true
			}
			if len(page) == objectsPage {
				next, more = append([]byte(nil), k[len(prefix):]...), true
				return false
			}
			page = append(page, o)
			return true
		})
		if err != nil {
			return err
		}
		for _, o := range page {
			if !visit(o) {
				return nil
			}
		}
		if from = next; ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
