package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Ops of a family that this build does not know are kept as rows of an object of
// their own, and applied by a build that knows the family:
//
//	o‖space‖familyKept‖esc(family 1‖key)‖author 40‖seq 8 → rank 8 ‖ hlc 8 ‖ uvarint n ‖ n × run ‖ section
//	run := uvarint seq ‖ uvarint width ‖ uvarint count
//
// The seq is that of the first op. Ranks say in which order they came here,
// which is one that respects cause and effect.
const familyKept crdt.Family = 0xff

const keptSlot = crdt.AuthorSize + 8

// keep keeps a group of an entry. d.mu is held.
func (d *Dataset) keep(e *Entry, g *crdt.Group) {
	d.rank++
	v := binary.BigEndian.AppendUint64(nil, d.rank)
	v = binary.BigEndian.AppendUint64(v, uint64(e.Time))
	v = binary.AppendUvarint(v, uint64(len(g.Runs)))
	for _, r := range g.Runs {
		v = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(v, r.Seq), r.Width), r.Count)
	}
	k := datastore.ObjectPrefix(nil, d.cache.space, byte(familyKept), append([]byte{byte(g.Family)}, g.Key...))
	k = binary.BigEndian.AppendUint64(e.Author.Append(k), g.Runs[0].Seq)
	d.extra = append(d.extra, row{k, append(v, g.Raw...)})
}

// kept is a row of a kept group.
type kept struct {
	row    []byte // its key
	rank   uint64
	time   crdt.HLC
	author crdt.Author
	group  crdt.Group
}

func decodeKept(row, value []byte) (k kept, err error) {
	_, key, slot, ok := datastore.SplitObjectKey(row)
	if !ok || len(key) == 0 || len(slot) != keptSlot || len(value) < 16 {
		return k, errors.New("kept row makes no sense")
	}
	k.row = slices.Clone(row)
	k.rank = binary.BigEndian.Uint64(value)
	k.time = crdt.HLC(binary.BigEndian.Uint64(value[8:]))
	if k.author, err = crdt.AuthorFromBytes(slot[:crdt.AuthorSize]); err != nil {
		return k, err
	}
	r := reader{b: slices.Clone(value[16:])}
	n := r.uvarint()
	for range min(n, uint64(len(r.b))) {
		k.group.Runs = append(k.group.Runs, crdt.OpRun{Seq: r.uvarint(), Width: r.uvarint(), Count: r.uvarint()})
	}
	k.group.Family, k.group.Key, k.group.Raw = crdt.Family(key[0]), key[1:], r.b
	return k, r.err
}

// applyKept applies what an older build kept, if this one knows the family. It
// runs while the dataset is loaded.
func (d *Dataset) applyKept() error {
	var now []kept
	err := datastore.ScanPrefix(d.r.store, datastore.FamilyPrefix(d.cache.space, byte(familyKept)), func(key, v []byte) bool {
		k, err := decodeKept(key, v)
		if err != nil {
			d.r.log.Warn("left out kept ops that make no sense", "dataset", d.name, "err", err)
			return true
		}
		d.rank = max(d.rank, k.rank)
		if k.group.Family.Known() {
			now = append(now, k)
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("kept ops: %w", err)
	}
	slices.SortFunc(now, func(a, b kept) int { return int(a.rank) - int(b.rank) })
	for i := range now {
		if err := d.openKept(&now[i]); err != nil {
			return err
		}
	}
	if len(now) > 0 {
		d.r.log.Info("applied ops that an older numax-node could only keep", "dataset", d.name, "groups", len(now))
	}
	return nil
}

func (d *Dataset) openKept(k *kept) error {
	if err := k.group.Open(k.author, k.time); err != nil {
		d.r.log.Warn("left out kept ops that make no sense", "dataset", d.name, "author", k.author, "err", err)
	}
	objects, err := d.acquireAll([]Object{{k.group.Family, string(k.group.Key)}})
	if err != nil {
		return err
	}
	defer d.release(objects...)
	d.mu.Lock()
	defer d.mu.Unlock()
	// Their context was what had been applied before them: of their author, the
	// ops before theirs. Others' that came later do no harm, ops being joins.
	ctx := d.applied.Clone()
	for i := range k.group.Ops {
		op := &k.group.Ops[i]
		ctx[k.author] = op.Seq - 1
		if _, err := objects[0].state.Apply(k.author, op, ctx); err != nil {
			d.r.log.Warn("left out an op that makes no sense", "dataset", d.name, "author", k.author, "err", err)
		}
	}
	d.markDirty(objects[0], true)
	d.extra = append(d.extra, row{key: k.row})
	d.r.queue.push(0, 0)
	return nil
}

// mergeKept joins what two replicas kept of an object. Theirs come first: of
// what they have, they have the causes too.
func (j *join) mergeKept(key []byte, put func(slot, cell []byte), ours, theirs []stateRow) error {
	has := make(map[string]bool, len(theirs))
	var last uint64
	for _, r := range theirs {
		row := append(append(datastore.ObjectsPrefix(j.space), key...), r.key...)
		if _, err := decodeKept(row, r.value); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		has[string(r.key)] = true
		last = max(last, binary.BigEndian.Uint64(r.value))
		put(r.key, r.value)
	}
	for _, r := range ours {
		if !has[string(r.key)] {
			v := slices.Clone(r.value)
			rank := last + binary.BigEndian.Uint64(v)
			j.rank = max(j.rank, rank)
			binary.BigEndian.PutUint64(v, rank)
			put(r.key, v)
		}
	}
	j.rank = max(j.rank, last)
	return nil
}
