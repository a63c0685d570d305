package bus

// amount is messages, and bytes of them.
type amount struct{ n, bytes int }

func (a amount) plus(n, bytes int) amount { return amount{a.n + n, a.bytes + bytes} }

func (a amount) minus(b amount) amount { return amount{a.n - b.n, a.bytes - b.bytes} }

// share is what one may have of room that all share: a part of what others leave. So whoever comes finds some, however
// many were there before: with a quarter, the first may have 25 %, the second 19 %, the tenth 2 %.
//
//	|── others ──|──────── what they leave ───────|
//	             |─ mine at most ─|
func share(all, others amount, part int) amount {
	left := all.minus(others)
	return amount{left.n / part, left.bytes / part}
}

func (a amount) within(most amount) bool { return a.n <= most.n && a.bytes <= most.bytes }

// tally is what each has of what all share.
type tally[K comparable] map[K]amount

// count adds to one's amount, or takes away.
func (t tally[K]) count(k K, n, bytes int) {
	if t[k] = t[k].plus(n, bytes); t[k] == (amount{}) {
		delete(t, k)
	}
}
