package member

import "slices"

// What a device shows of itself to be let in is bounded.
const (
	maxChain      = 128
	maxChainBytes = 96 << 10
)

// chain is what shows that devices are members: their grants in force, those of
// the issuers up to the founder, the invites they came by, and the revocations
// that let these stand. Of a device that left it shows that.
func (r *Roster) chain(devices ...Key) []*Record {
	var todo []*Record
	for _, k := range devices {
		for _, g := range r.grants[k] {
			if r.inForce(g.Record) {
				todo = append(todo, g.Record)
			}
		}
		for _, v := range r.ended[k] {
			if v.Issuer == k {
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
	for len(todo) > 0 {
		rec := todo[0]
		todo = todo[1:]
		if rec == nil || shown[rec.ID] {
			continue
		}
		shown[rec.ID] = true
		todo = append(todo, r.byID[rec.Under])
		if g, ok := rec.Body.(*Grant); ok {
			todo = append(todo, r.byID[g.Invite])
			if i := r.invites[g.Invite]; i != nil {
				todo = append(todo, sparing(i.closed, rec.ID)...)
			}
		}
		todo = append(todo, sparing(r.ended[rec.Issuer], rec.ID)...)
	}
	var chain []*Record
	size := 0
	for _, rec := range r.records { // in their order: each after what it hangs on
		if shown[rec.ID] && len(chain) < maxChain && size+len(rec.raw)+4 <= maxChainBytes {
			chain = append(chain, rec)
			size += len(rec.raw) + 4
		}
	}
	return chain
}

// sparing are those of some revocations that let a record stand.
func sparing(ended []*Record, id ID) (list []*Record) {
	for _, v := range ended {
		if v.lists(id) {
			list = append(list, v)
		}
	}
	return list
}
