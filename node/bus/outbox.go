package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/sandbox"
)

// Limits of what waits to be sent. Beyond them Send is refused. A module may have a part of what the others leave, and a
// part of that for one node: see share.
const (
	MaxOutbox      = 10_000 // messages
	MaxOutboxBytes = 64 << 20
	moduleShare    = 4                  // so a quarter of it, 2,500 messages of 16 MiB when nothing else waits
	nodeShare      = 2                  // and half of that for one node
	MaxAge         = 7 * 24 * time.Hour // what is older is dropped
	maxModuleName  = 255
)

// Times between attempts to send.
const (
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

func backoff(fails int) time.Duration { return min(minRetry<<min(fails, 10), maxRetry) }

// outbox is what waits to be sent: a row each, and where it stands in memory.
//
//	row: datastore.OutboxKey(node, stamp) → unix ms 8 ‖ len(module) 1 ‖ module ‖ content (see frame)
type outbox struct {
	store *datastore.Store

	mu  sync.Mutex // guards the rest; not held over the disk
	to  map[Key]*line
	all amount        // with what is being written just now
	of  tally[string] // the same, by module
}

// line are the letters to one node.
type line struct {
	letters []*letter     // by stamp
	of      tally[string] // by module, with what is being written just now
	again   budget        // for what was not taken the first time
	busy    bool          // a courier has it
	wake    chan struct{} // capacity 1: tells the courier of a new letter
	fails   int           // streams in a row that broke
	next    time.Time     // when to try one again
}

func newLine() *line {
	return &line{of: make(tally[string]), wake: make(chan struct{}, 1), again: newBudget(againRate, time.Now())}
}

// letter is one message.
type letter struct {
	stamp  uint64
	module string // that sent it
	size   int    // of the row's value
	since  time.Time
	fails  int
	next   time.Time
	fly    bool // a courier has it, and no verdict yet
}

func appendRow(b []byte, since time.Time, module string, content []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(since.UnixMilli()))
	b = append(append(b, byte(len(module))), module...)
	return append(b, content...)
}

// splitRow returns a content that aliases the row.
func splitRow(row []byte) (since time.Time, module string, content []byte, ok bool) {
	const fixed = 8 + 1
	if len(row) < fixed || len(row) < fixed+int(row[8]) {
		return since, "", nil, false
	}
	end := fixed + int(row[8])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(row))), string(row[fixed:end]), row[end:], true
}

func openOutbox(store *datastore.Store) (*outbox, error) {
	o := &outbox{store: store, to: make(map[Key]*line), of: make(tally[string])}
	prefix := datastore.OutboxPrefix()
	var bad error
	err := store.Scan(prefix, datastore.After(prefix), func(key, value []byte) bool {
		node, stamp, ok := datastore.SplitOutboxKey(key)
		since, module, _, fits := splitRow(value)
		if !ok || !fits {
			bad = fmt.Errorf("row %x of the outbox: %w", key, datastore.ErrDamaged)
			return false
		}
		o.insert(node, &letter{stamp: stamp, module: module, size: len(value), since: since})
		return true
	})
	if err := errors.Join(err, bad); err != nil {
		return nil, err
	}
	return o, nil
}

// insert puts a letter in its line. o.mu is held.
func (o *outbox) insert(to Key, x *letter) {
	l := o.to[to]
	if l == nil {
		l = newLine()
		o.to[to] = l
	}
	at, _ := slices.BinarySearchFunc(l.letters, x.stamp, func(y *letter, stamp uint64) int {
		if y.stamp < stamp {
			return -1
		}
		return 1
	})
	l.letters = slices.Insert(l.letters, at, x)
	o.count(l, x.module, 1, x.size)
	signal(l.wake)
}

// count notes so many letters more, or less. o.mu is held.
func (o *outbox) count(l *line, module string, n, bytes int) {
	o.all = o.all.plus(n, bytes)
	o.of.count(module, n, bytes)
	l.of.count(module, n, bytes)
}

// errFull is sandbox.ErrQuota with what to do.
func errFull(module, what string) error {
	return fmt.Errorf("bus: module %q: %s is full: it empties when those nodes are in reach and their modules take what waits: %w", module, what, sandbox.ErrQuota)
}

// add puts a letter on disk, then in its line.
func (o *outbox) add(to Key, stamp uint64, module string, content []byte, now time.Time) error {
	if len(module) > maxModuleName {
		return fmt.Errorf("bus: send: a module's name of %d bytes: at most %d", len(module), maxModuleName)
	}
	row := appendRow(nil, now, module, content)
	x := &letter{stamp: stamp, module: module, size: len(row), since: now}
	l, err := o.reserve(to, module, x.size)
	if err != nil {
		return err
	}
	var b datastore.Batch
	b.Put(datastore.OutboxKey(to, stamp), row)
	err = o.store.Write(&b)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(l, module, -1, -x.size)
	if err != nil {
		return fmt.Errorf("bus: send: %w", err)
	}
	o.insert(to, x)
	return nil
}

// reserve counts a letter that is being written. It leaves the line without it.
func (o *outbox) reserve(to Key, module string, size int) (*line, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := amount{MaxOutbox, MaxOutboxBytes}
	most := share(all, o.all.minus(o.of[module]), moduleShare)
	l := o.to[to]
	if l == nil {
		l = newLine()
	}
	switch {
	case !o.of[module].plus(1, size).within(most):
		return nil, errFull(module, "its share of the outbox")
	case !l.of[module].plus(1, size).within(amount{most.n / nodeShare, most.bytes / nodeShare}):
		return nil, errFull(module, "its share of the outbox for that node")
	}
	o.to[to] = l
	o.count(l, module, 1, size)
	return l, nil
}

func (o *outbox) size() (count, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.n, o.all.bytes
}

// waiting is how much there is of each module.
func (o *outbox) waiting() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make(map[string]int, len(o.of))
	for module, a := range o.of {
		all[module] = a.n
	}
	return all
}

// forget drops the letters of a module, also those that a courier has: what is on its way may still arrive.
func (o *outbox) forget(module string) (n int, err error) {
	stamps := make(map[Key]map[uint64]bool)
	var b datastore.Batch
	o.mu.Lock()
	for to, l := range o.to {
		if l.of[module].n == 0 {
			continue
		}
		stamps[to] = make(map[uint64]bool)
		for _, x := range l.letters {
			if x.module == module {
				stamps[to][x.stamp] = true
				b.Delete(datastore.OutboxKey(to, x.stamp))
				n++
			}
		}
	}
	o.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	if err := o.store.Write(&b); err != nil {
		return 0, fmt.Errorf("bus: drop the messages of module %q: %w", module, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for to, gone := range stamps {
		if o.to[to] != nil {
			o.remove(to, func(x *letter) bool { return gone[x.stamp] })
		}
	}
	return n, nil
}

// due are at most n letters to send now, which then fly, and when the next is due; zero = none waits for its time.
func (o *outbox) due(to Key, now time.Time, n int) (list []*letter, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.to[to]
	for _, x := range l.letters {
		if x.fly {
			continue
		}
		if !x.next.After(now) && len(list) == n {
			return list, now
		}
		if !x.next.After(now) && x.fails > 0 && !l.again.allow(x.size, now) {
			x.next = now.Add(minRetry)
		}
		if !x.next.After(now) {
			x.fly = true
			list = append(list, x)
		} else if next.IsZero() || x.next.Before(next) {
			next = x.next
		}
	}
	return list, next
}

// content reads a letter; the error is datastore.ErrNotFound if it was dropped meanwhile.
func (o *outbox) content(to Key, stamp uint64) ([]byte, error) {
	row, err := o.store.Get(datastore.OutboxKey(to, stamp))
	if err != nil {
		return nil, fmt.Errorf("bus: read the outbox: %w", err)
	}
	_, _, content, ok := splitRow(row)
	if !ok {
		return nil, fmt.Errorf("bus: read the outbox: %w", datastore.ErrDamaged)
	}
	return content, nil
}

// settle forgets letters that were taken, and puts off the others.
func (o *outbox) settle(to Key, verdicts []verdict, now time.Time) error {
	taken := make(map[uint64]bool, len(verdicts))
	var b datastore.Batch
	for _, v := range verdicts {
		taken[v.stamp] = taken[v.stamp] || v.taken
		if v.taken {
			b.Delete(datastore.OutboxKey(to, v.stamp))
		}
	}
	if b.Len() > 0 {
		if err := o.store.Write(&b); err != nil {
			return fmt.Errorf("bus: forget what was sent: %w", err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(to, func(x *letter) bool { return x.fly && taken[x.stamp] })
	for _, x := range o.to[to].letters {
		if _, ok := taken[x.stamp]; ok && x.fly {
			x.fly, x.next = false, now.Add(backoff(x.fails))
			x.fails++
		}
	}
	return nil
}

// remove takes letters out of a line. o.mu is held.
func (o *outbox) remove(to Key, which func(*letter) bool) {
	l := o.to[to]
	l.letters = slices.DeleteFunc(l.letters, func(x *letter) bool {
		if !which(x) {
			return false
		}
		o.count(l, x.module, -1, -x.size)
		return true
	})
}

// expire drops what is too old, and says how much per node. It forgets empty lines, too.
func (o *outbox) expire(now time.Time) (map[Key]int, error) {
	old := func(x *letter) bool { return !x.fly && now.Sub(x.since) > MaxAge }
	dropped := make(map[Key]int)
	var b datastore.Batch
	o.mu.Lock()
	for to, l := range o.to {
		for _, x := range l.letters {
			if old(x) {
				b.Delete(datastore.OutboxKey(to, x.stamp))
				dropped[to]++
			}
		}
		o.remove(to, old)
		if len(l.of) == 0 && !l.busy {
			delete(o.to, to)
		}
	}
	o.mu.Unlock()
	if b.Len() == 0 {
		return nil, nil
	}
	return dropped, o.store.Write(&b)
}

// begin gives a line to a courier if something in it is due; else next is when to look again, zero = when woken.
func (o *outbox) begin(to Key, now time.Time) (l *line, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l = o.to[to]
	if l == nil || l.busy || len(l.letters) == 0 {
		return nil, time.Time{}
	}
	next = l.letters[0].next
	for _, x := range l.letters {
		if x.next.Before(next) {
			next = x.next
		}
	}
	if next.Before(l.next) {
		next = l.next
	}
	if next.After(now) {
		return nil, next
	}
	l.busy = true
	return l, time.Time{}
}

// end is told how a courier fared. What was on its way is due again; if the stream broke, after a while.
func (o *outbox) end(to Key, err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.to[to]
	l.busy = false
	for _, x := range l.letters {
		x.fly = false
	}
	if err == nil {
		l.fails = 0
		return
	}
	l.next = now.Add(backoff(l.fails))
	l.fails++
}

// hurry makes all of a line due: what kept it waiting may be over.
func (o *outbox) hurry(to Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.to[to]
	if l == nil {
		return
	}
	l.fails, l.next = 0, time.Time{}
	for _, x := range l.letters {
		x.fails, x.next = 0, time.Time{}
	}
	signal(l.wake)
}
