package replica

import (
	"context"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// An intent is a deletion that waits for its element's author:
//
//	r‖dataset 16‖element id 32‖sequence key → empty
type intent struct{ id, key string }

// MaxIntents is how many deletions may wait for one unknown author; more are
// forgotten.
const MaxIntents = 4096

func (d *Dataset) intentKey(x intent) []byte {
	return append(append(datastore.IntentPrefix(d.id), x.id...), x.key...)
}

// intend remembers a deletion. Dataset.mu is held, Replica.cut shared.
func (d *Dataset) intend(h authorHash, x intent) {
	of := d.intents[h]
	if _, known := of[x]; known || len(of) >= MaxIntents {
		return
	}
	if of == nil {
		of = make(map[intent]struct{})
		d.intents[h] = of
	}
	of[x] = struct{}{}
	k := d.intentKey(x)
	d.extra = append(d.extra, row{k, []byte{}})
	d.r.queue.push(len(k), 0)
}

func (d *Dataset) loadIntents() error {
	prefix := datastore.IntentPrefix(d.id)
	return datastore.ScanPrefix(d.r.store, prefix, func(k, _ []byte) bool {
		if k = k[len(prefix):]; len(k) >= ElementIDSize {
			x := intent{string(k[:ElementIDSize]), string(k[ElementIDSize:])}
			if h, _, ok := parseElementID(x.id); ok {
				if d.intents[h] == nil {
					d.intents[h] = make(map[intent]struct{})
				}
				d.intents[h][x] = struct{}{}
			}
		}
		return true
	})
}

// fulfil carries out the deletions that waited for author a, and forgets them.
// What fails is tried again with the author's next entry.
func (d *Dataset) fulfil(ctx context.Context, a crdt.Author) {
	h := hashAuthor(a)
	d.mu.Lock()
	waiting := make([]intent, 0, len(d.intents[h]))
	for x := range d.intents[h] {
		waiting = append(waiting, x)
	}
	d.mu.Unlock()
	for _, x := range waiting {
		if err := d.DeleteElement(ctx, x.key, x.id); err != nil {
			d.r.log.Warn("a remembered deletion waits on", "dataset", d.name, "err", err)
			return
		}
		d.forget(h, x)
	}
}

func (d *Dataset) forget(h authorHash, x intent) {
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.intents[h], x)
	if len(d.intents[h]) == 0 {
		delete(d.intents, h)
	}
	d.extra = append(d.extra, row{key: d.intentKey(x)})
	d.r.queue.push(len(x.key), 0)
}
