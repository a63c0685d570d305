package member

import (
	"cmp"
	"slices"
)

// What a device shows of itself to be let in is bounded.
const (
	maxChain      = 128
	maxChainBytes = 96 << 10
)

// maxShown is how many of a device's grants are shown. One that was let in again and again
// has more in force; those of the highest roles count, then those of the longest terms.
const maxShown = 4

// chain is what shows that devices are members: their grants in force, those of
// the issuers up to the founder, the invites they came by, and the revocations
// that let these stand. Of a device that left it shows that. What it costs hangs on what
// is shown, not on how many records there are.
func (r *Roster) chain(devices ...Key) []*Record {
	var todo []*Record
	for _, k := range devices {
		var best []*Record
		for _, g := range r.grants[k] {
			if r.inForce(g.Record) {
				best = append(best, g.Record)
			}
		}
		slices.SortStableFunc(best, func(a, b *Record) int {
			x, y := a.Body.(*Grant), b.Body.(*Grant)
			return cmp.Or(cmp.Compare(y.Role, x.Role), cmp.Compare(y.Expires-1, x.Expires-1)) // 0 is for ever
		})
		todo = append(todo, best[:min(len(best), maxShown)]...)
		for _, v := range r.ended[k] {
			if v.leaves() {
				todo = append(todo, v)
			}
		}
	}
	return r.trail(todo)
}

// verdict is what shows a device that it was revoked.
func (r *Roster) verdict(k Key) []*Record { return r.trail(slices.Clone(r.ended[k])) }

// trail is some records with what they hang on.
func (r *Roster) trail(todo []*Record) []*Record {
	shown := make(map[ID]bool)
	var list []*Record
	for len(todo) > 0 && len(list) < 2*maxChain {
		rec := todo[0]
		todo = todo[1:]
		if rec == nil || shown[rec.ID] {
			continue
		}
		shown[rec.ID] = true
		list = append(list, rec)
		todo = append(todo, r.byID[rec.Under])
		if g, ok := rec.Body.(*Grant); ok {
			todo = append(todo, r.byID[g.Invite])
			if i := r.invites[g.Invite]; i != nil {
				todo = append(todo, sparing(i.closed, rec.ID))
			}
		}
		todo = append(todo, sparing(r.ended[rec.Issuer], rec.ID))
	}
	// In their order: each after what it hangs on.
	slices.SortFunc(list, func(a, b *Record) int { return cmp.Compare(r.at[a.ID], r.at[b.ID]) })
	size := 0
	for i, rec := range list {
		if size += len(rec.raw) + 4; i == maxChain || size > maxChainBytes {
			return list[:i]
		}
	}
	return list
}

// sparing is the first of some revocations that lets a record stand; nil if none does.
func sparing(ended []*Record, id ID) *Record {
	for _, v := range ended {
		if v.lists(id) {
			return v
		}
	}
	return nil
}
