package supervisor

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// Limits of what an instance may ask for; above them it gets -7.
const (
	MaxWatches       = 64
	MaxTimers        = 64
	MaxSubscriptions = 64
)

// session is what one instance has asked to hear of: sandbox.Service and Messages. It is used by the instance's
// goroutine, and by its timers.
type session struct {
	unit   *unit
	guest  *guest.Guest
	grants *module.Grants
	// dataset is the one in use.
	dataset string

	// once is for the one event of a function's instance: it can hear of nothing more.
	once bool

	mu       sync.Mutex // guards the rest
	places   []place
	subjects []string
	timers   map[uint32]*timer
	queued   map[uint32]bool // ids with a tick in the mailbox, one at most
	over     bool
}

// timer fires into the mailbox, and again only when its tick was handled.
type timer struct {
	id     uint32
	t      *time.Timer
	period time.Duration
	due    time.Time
	fired  bool
}

// UseDataset implements sandbox.Service.
func (s *session) UseDataset(name string) (sandbox.CRDT, error) {
	if !s.grants.CanUse(name) {
		return nil, sandbox.ErrDenied
	}
	d := s.guest.Data(name)
	if d == nil {
		return nil, sandbox.ErrNotFound
	}
	s.dataset = name
	return d, nil
}

// Watch implements sandbox.Service.
func (s *session) Watch(prefix string) error { return s.watch(s.dataset, prefix) }

// at is a place as this session's grants have it.
func (s *session) at(dataset, prefix string) place {
	return place{dataset, prefix, strings.Join((&module.Grants{Data: s.grants.Data}).Describe(), "\n")}
}

func (s *session) watch(dataset, prefix string) error {
	if s.once || !s.grants.CanWatch(dataset, prefix) {
		return sandbox.ErrDenied
	}
	at := s.at(dataset, prefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slices.Contains(s.places, at):
		return nil
	case len(s.places) >= MaxWatches:
		return sandbox.ErrQuota
	}
	if err := s.unit.retain(at, s.grants); err != nil {
		return err
	}
	s.places = append(s.places, at)
	return nil
}

// Unwatch implements sandbox.Service.
func (s *session) Unwatch(prefix string) error {
	at := s.at(s.dataset, prefix)
	if !s.watches(at) {
		return sandbox.ErrNotFound
	}
	if err := s.guest.Writes(len(prefix)); err != nil { // the cursor goes
		return err
	}
	s.mu.Lock()
	s.places = slices.DeleteFunc(s.places, func(p place) bool { return p == at })
	s.mu.Unlock()
	s.unit.release(at, true)
	return nil
}

func (s *session) watches(at place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.places, at)
}

// SetTimer implements sandbox.Service.
func (s *session) SetTimer(id uint32, delay, period time.Duration) error {
	if s.once {
		return sandbox.ErrDenied
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.timers[id]; old != nil {
		old.t.Stop()
	} else if len(s.timers) >= MaxTimers {
		return sandbox.ErrQuota
	}
	t := &timer{id: id, period: period, due: time.Now().Add(delay)}
	t.t = time.AfterFunc(delay, func() { s.fire(t) })
	s.timers[id] = t
	return nil
}

// CancelTimer implements sandbox.Service.
func (s *session) CancelTimer(id uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.timers[id]
	if t != nil {
		t.t.Stop()
		delete(s.timers, id)
	}
	return t != nil
}

// fire puts a tick in the mailbox, unless one of that id waits there.
func (s *session) fire(t *timer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.timers[t.id] != t {
		return
	}
	t.fired = true
	if s.queued[t.id] {
		return
	}
	s.queued[t.id] = true
	id := t.id
	s.unit.box.pushFree(&item{
		event:   &sandbox.Event{Name: sandbox.OnTick, Fields: map[string]string{"timer": strconv.FormatUint(uint64(id), 10)}},
		session: s,
		due:     func() bool { return s.dueNow(id) },
		done:    func(error) { s.again(id) },
	})
}

// dueNow is asked when a tick is about to be told: whether there is a timer of that id still, and it has fired.
func (s *session) dueNow(id uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queued, id)
	t := s.timers[id]
	return !s.over && t != nil && t.fired
}

// again sets a timer for its next time, when its tick was told. Times that passed while the guest was busy are left
// out.
func (s *session) again(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.timers[id]
	if s.over || t == nil || !t.fired {
		return // replaced or cancelled by the guest, just now
	}
	t.fired = false
	if t.period == 0 {
		delete(s.timers, id)
		return
	}
	now := time.Now()
	for t.due = t.due.Add(t.period); t.due.Before(now); {
		t.due = t.due.Add(now.Sub(t.due).Truncate(t.period) + t.period)
	}
	t.t.Reset(time.Until(t.due))
}

// end is for an instance that is over. Changes and messages go on to wait for
// the one that comes after, if one does.
func (s *session) end() {
	s.mu.Lock()
	s.over = true
	for _, t := range s.timers {
		t.t.Stop()
	}
	s.mu.Unlock()
	if !s.unit.isAbsent(s) {
		s.leave()
	}
}

// leave ends what is left of a session that is over.
func (s *session) leave() {
	s.mu.Lock()
	places := s.places
	s.places, s.subjects = nil, nil
	s.mu.Unlock()
	for _, at := range places {
		s.unit.release(at, false)
	}
}

// Subscribe implements sandbox.Messages.
func (s *session) Subscribe(subject string) error {
	if s.once || !s.grants.CanSubscribe(subject) {
		return sandbox.ErrDenied
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slices.Contains(s.subjects, subject):
		return nil
	case len(s.subjects) >= MaxSubscriptions:
		return sandbox.ErrQuota
	}
	s.subjects = append(s.subjects, subject)
	return nil
}

// Unsubscribe implements sandbox.Messages.
func (s *session) Unsubscribe(subject string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.subjects, subject)
	if i < 0 {
		return sandbox.ErrNotFound
	}
	s.subjects = slices.Delete(s.subjects, i, i+1)
	return nil
}

func (s *session) hears(subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.subjects, func(p string) bool { return module.MatchSubject(p, subject) })
}

// Publish implements sandbox.Messages.
func (s *session) Publish(ctx context.Context, subject string, payload []byte) error {
	if err := s.maySay(ctx, subject, payload); err != nil {
		return err
	}
	return s.unit.s.cfg.Bus.Publish(ctx, subject, payload)
}

// Send implements sandbox.Messages.
func (s *session) Send(ctx context.Context, node, subject string, payload []byte) error {
	if err := s.maySay(ctx, subject, payload); err != nil {
		return err
	}
	return s.unit.s.cfg.Bus.Send(ctx, s.unit.name, node, subject, payload)
}

// Request implements sandbox.Messages.
func (s *session) Request(ctx context.Context, subject string, payload []byte) ([]byte, error) {
	if err := s.maySay(ctx, subject, payload); err != nil {
		return nil, err
	}
	return s.unit.s.cfg.Bus.Request(ctx, subject, payload)
}

// maySay is asked before each message. The node can say only so much, so messages count as writes of their module.
func (s *session) maySay(ctx context.Context, subject string, payload []byte) error {
	if !s.grants.CanPublish(subject) {
		return sandbox.ErrDenied
	}
	if err := s.guest.Writes(len(subject) + len(payload)); err != nil {
		return err
	}
	return s.guest.Settle(ctx)
}
