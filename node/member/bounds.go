package member

import (
	"cmp"
	"math"
	"slices"
)

// The set is bounded, and by rules on the set, so that what is kept is the same
// everywhere, whatever came first:
//
//	of a device that is no admin    for each grant of it, its leaving: one small record
//	of an admin that left           for each grant, its leaving: of several the lowest id
//	of a revoked admin              what was listed; of its keys that nobody who revoked it
//	                                had heard of, the first (keptOrphans)
//	revocations by an admin         a quota for it and all whom it let in, of its own
//	grants, invites, keys           MaxRecords and MaxBytes, which only admins fill
//
// So nobody but admins takes room that others need, and an admin's revocation fits also
// when the rest of the set is full. That rest alone is bounded by refusing what comes when
// it is full: were something put out instead, an admin that floods could put out others'
// grants.

// Quotas of revocations: the founder's own, and that of each admin whom the founder let in.
const (
	foundersRevocations     = MaxRecords
	foundersRevocationBytes = MaxBytes
	branchRevocations       = 2048
	branchRevocationBytes   = 2 << 20
)

// quota is what a branch of admins may still say in revocations. What does not fit is
// not kept; those nearer to the founder go first.
type quota struct{ records, bytes int }

func (q *quota) take(r *Record) bool {
	if q.records == 0 || q.bytes < len(r.raw) {
		return false
	}
	q.records--
	q.bytes -= len(r.raw)
	return true
}

// quotaOf is the quota of the seat that a grant gives.
func (e *evaluation) quotaOf(grant *Record) *quota {
	g := grant.Body.(*Grant)
	q := e.quota[grant.Under]
	if grant.Under == (ID{}) || q == e.quotas[e.genesis.Founder] {
		if q = e.quotas[g.Subject]; q == nil {
			q = &quota{branchRevocations, branchRevocationBytes}
			e.quotas[g.Subject] = q
		}
	}
	e.quota[grant.ID] = q
	return q
}

// maxOrphans and maxOrphanBytes are how many keys of a revoked admin stay readable though
// nobody that revoked it had heard of them: others may have written under them by then.
// They count as leaked, so nobody writes under them any more.
const (
	maxOrphans     = 16
	maxOrphanBytes = 128 << 10
)

func compareOrphans(a, b *Record) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), compareIDs(a.ID, b.ID))
}

// keptOrphans are the first of them.
func keptOrphans(list []*Record) []*Record {
	slices.SortFunc(list, compareOrphans)
	size := 0
	for i, r := range list {
		if size += len(r.raw); i == maxOrphans || size > maxOrphanBytes {
			return list[:i]
		}
	}
	return list
}

// takes reports whether a record would be kept if it alone came now; true also where only
// an evaluation can tell. It costs no signature check and no walk over the set, and is
// what records cost that have no effect, whoever shows them.
func (r *Roster) takes(rec *Record) bool {
	rank, under := 0, r.byID[rec.Under]
	if rec.Under == (ID{}) {
		if rec.Issuer != r.genesis.Founder {
			return false
		}
	} else {
		known := false
		if rank, known = r.counted[rec.Under]; !known || under.Body.(*Grant).Subject != rec.Issuer {
			return false
		}
		if under.Body.(*Grant).Role != Admin {
			return rec.mayBeByAnybody() && r.standsAgainst(rec, under, func(v *Record) bool { return r.rankOfSeat(v) != math.MaxInt })
		}
	}
	switch rec.Body.(type) {
	case *Revocation:
		for _, v := range r.ended[rec.Issuer] {
			if rec.leaves() && v.leaves() && v.Under == rec.Under && compareIDs(v.ID, rec.ID) < 0 {
				return false
			}
		}
		return r.standsAgainst(rec, under, func(v *Record) bool {
			at := r.rankOfSeat(v)
			return at < rank || at == rank && (compareKeys(v.Issuer, rec.Issuer) < 0 || v.Issuer == rec.Issuer && !rec.leaves())
		})
	case *Keys:
		orphans := r.orphans[rec.Issuer]
		return len(orphans) < maxOrphans || compareOrphans(rec, orphans[len(orphans)-1]) < 0 || r.standsAtRest(rec, under, rank)
	}
	return r.standsAtRest(rec, under, rank)
}

func (r *Roster) standsAtRest(rec, under *Record, rank int) bool {
	return r.standsAgainst(rec, under, func(v *Record) bool { return r.rankOfSeat(v) <= rank })
}

// rankOfSeat is the rank of the seat that a revocation was made in; MaxInt if it was none.
func (r *Roster) rankOfSeat(v *Record) int {
	if v.Under == (ID{}) {
		return 0
	}
	if r.byID[v.Under].Body.(*Grant).Role != Admin {
		return math.MaxInt
	}
	return r.counted[v.Under]
}

// mayBeByAnybody reports whether a record is one that a member makes which is no admin.
func (r *Record) mayBeByAnybody() bool {
	return r.leaves() && len(r.Body.(*Revocation).Standing) == 0
}

// comeDown are those of some records that come down from the founder, by grants that are
// known or stand before them in the list, and that are of a kind which their issuer may
// make.
func (r *Roster) comeDown(records []*Record) (list []*Record) {
	here := make(map[ID]*Record)
	for _, rec := range records {
		if rec.Under == (ID{}) {
			if rec.Issuer != r.genesis.Founder {
				continue
			}
		} else {
			up := r.byID[rec.Under]
			if up == nil {
				up = here[rec.Under]
			}
			if up == nil {
				continue
			}
			g, ok := up.Body.(*Grant)
			if !ok || g.Subject != rec.Issuer || g.Role != Admin && !rec.mayBeByAnybody() {
				continue
			}
		}
		here[rec.ID] = rec
		list = append(list, rec)
	}
	return list
}
