package supervisor

import (
	"bytes"
	"slices"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/sandbox"
)

// What a unit takes on behalf of its sessions, and of one that failed until the next has begun: messages here, changes by
// the feeds it keeps.

// setAbsent is told of an instance that failed, and with nil that another has
// begun or none will.
func (u *unit) setAbsent(s *session) {
	u.mu.Lock()
	old := u.absent
	u.absent = s
	u.mu.Unlock()
	if old != nil {
		old.leave()
	}
}

func (u *unit) isAbsent(s *session) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.absent == s
}

// hears reports whether an instance wants messages of a subject, or the one
// before did and the next has yet to say.
func (u *unit) hears(subject string) bool {
	u.mu.Lock()
	sessions := slices.Clone(u.sessions)
	if u.absent != nil {
		sessions = append(sessions, u.absent)
	}
	u.mu.Unlock()
	return slices.ContainsFunc(sessions, func(s *session) bool { return s.hears(subject) })
}

// deliver puts a message in the mailbox.
func (u *unit) deliver(m bus.Message) error {
	e := &sandbox.Event{
		Name: sandbox.OnMessage, Fields: map[string]string{"subject": m.Subject, "from": m.From},
		Body: bytes.NewReader(m.Payload), Reply: m.Reply,
	}
	if m.Reply != nil {
		e.Fields["reply"] = "1"
	}
	return u.box.push(&item{event: e, done: m.Done, size: len(m.Payload)})
}
