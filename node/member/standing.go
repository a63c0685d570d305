package member

import "math"

// limit notes how far the logs of a member stand after its revocations: as far
// as any of them says. That of the device itself says nothing of them.
func (m *membership) limit(ended []*Record) {
	for _, v := range ended {
		for _, l := range v.Body.(*Revocation).Logs {
			if m.logs == nil {
				m.logs, m.replicas = make(map[logName]uint64), make(map[[8]byte]bool)
			}
			m.replicas[l.Replica] = true
			name := logName{l.Dataset, l.Replica}
			m.logs[name] = max(m.logs[name], l.Seq)
		}
	}
}

// Standing is the last seq of an author's log in a dataset that stands: MaxUint64
// for a member that may write, 0 for who never might. An author is a device's
// key and a replica id.
//
// Of a revoked device stands what its revocations list, of one that left by itself nothing:
// the replica adds what members that write vouch for, since they had applied it. When it is let in again,
// its listed replicas stay cut off where they were: it goes on as a new replica.
// No clock has a say: an expired member's entries stand.
func (r *Roster) Standing(dataset [16]byte, author [40]byte) uint64 {
	m, replica := r.members[Key(author[:32])], [8]byte(author[32:])
	switch {
	case m == nil || !m.wrote:
		return 0
	case m.writes && !m.replicas[replica]:
		return math.MaxUint64
	}
	return m.logs[logName{dataset, replica}]
}
