package replica

import (
	"context"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// cutLogs forgets entries that are older than they need be. The objects have
// what they did, the acks what they said.
func (d *Dataset) cutLogs(ctx context.Context, logs map[crdt.Author]logState) error {
	size, err := d.r.store.SizeOf(datastore.EntryPrefix(d.id, nil))
	if err != nil {
		return err
	}
	now := d.r.now()
	d.r.cut.RLock()
	d.mu.Lock()
	var to crdt.Version
	if !d.joining { // a cut would have to wait
		marked := false
		if to, marked = d.care.cut(now, &d.r.retention, size, logs); marked {
			d.saveCare()
		}
	}
	d.mu.Unlock()
	d.r.cut.RUnlock()
	return d.cutTo(ctx, to, logs)
}

// cutTo cuts the logs behind a version that the objects have.
func (d *Dataset) cutTo(ctx context.Context, to crdt.Version, logs map[crdt.Author]logState) error {
	heads := make(map[crdt.Author]EntryID)
	signed := make(map[crdt.Author][]byte)
	for a, seq := range to {
		l := logs[a]
		if seq <= l.cut || seq > l.applied {
			delete(to, a)
			continue
		}
		l.applied = seq
		head, err := l.appliedHead(d.r.store, d.id, a)
		if err != nil {
			return err
		}
		if signed[a], err = l.signedHead(d.r.store, d.id, a); err != nil {
			return err
		}
		heads[a] = head
	}
	if len(heads) == 0 {
		return nil
	}
	d.r.cut.RLock()
	d.mu.Lock()
	if d.joining {
		// The state under way is replayed from the log, behind what had been
		// applied when the join began: that part has to stay.
		clear(heads)
	}
	for a, head := range heads {
		if l := d.logs[a]; l.cut < to[a] {
			l.cut, l.cutHead = to[a], head
			d.logs[a] = l
			d.touched[a] = struct{}{}
			id := a.Bytes()
			d.extra = append(d.extra, row{datastore.HeadKey(d.id, id[:]), signed[a]})
		}
	}
	d.r.queue.push(0, 0)
	d.mu.Unlock()
	d.r.cut.RUnlock()
	if err := d.r.Sync(ctx); err != nil {
		return err
	}
	// The version rows say so now: what a crash leaves is deleted by the next
	// cut.
	for a := range heads {
		id := a.Bytes()
		err := d.r.store.DeleteRange(ctx, datastore.EntryPrefix(d.id, id[:]), datastore.EntryKey(d.id, id[:], to[a]+1))
		if err != nil {
			return d.r.beside(err)
		}
	}
	if len(heads) > 0 {
		d.r.log.Debug("cut the log", "dataset", d.name, "authors", len(heads))
		d.r.compact = append(d.r.compact, datastore.EntryPrefix(d.id, nil))
	}
	return nil
}
