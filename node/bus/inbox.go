package bus

import (
	"bytes"
	"slices"
	"sync"
)

// maxLetters is how many letters are remembered. One that comes again after it was forgotten is told again.
const maxLetters = 8192

// letterID names a message that was sent.
type letterID struct {
	from  Key
	stamp uint64
}

// inbox tells subscribers of letters, and knows of the last maxLetters who has handled them: one that comes again is
// told to those only who have not.
//
//	         take                  all have called Done
//	unknown ──────► waiting ─┬── each of them with nil ──► handled
//	   ▲              ▲      │
//	   │              └─────take───── partly handled ◄── not all
//	   └── nobody wants it
type inbox struct {
	b *Bus

	mu      sync.Mutex // guards the rest
	letters map[letterID]*received
	order   []letterID // as they came
}

// received is a letter here.
type received struct {
	waiting  []*subscriber
	handled  []*subscriber
	failed   bool // one of them, this time
	done     bool
	verdicts []func(taken bool)
}

func newInbox(b *Bus) *inbox { return &inbox{b: b, letters: make(map[letterID]*received)} }

// take tells of a letter. verdict is called once, perhaps at once, and must not block.
func (in *inbox) take(id letterID, subject string, payload []byte, verdict func(taken bool)) {
	wanting := in.b.wanting(subject)
	tell, known := in.begin(id, wanting, verdict)
	if known != nil {
		verdict(*known)
		return
	}
	for _, s := range tell {
		var once sync.Once
		done := func(err error) { once.Do(func() { in.settle(id, s, err) }) }
		m := Message{Subject: subject, From: in.b.o.Name(id.from), Payload: bytes.Clone(payload), Done: done}
		if err := s.tell(m); err != nil {
			done(err)
		}
	}
}

// begin notes a letter and says whom to tell of it; known is its verdict if there is one without telling anybody.
func (in *inbox) begin(id letterID, wanting []*subscriber, verdict func(bool)) (tell []*subscriber, known *bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.letters[id]
	if r != nil && len(r.waiting) > 0 { // it came again while subscribers are at it
		r.verdicts = append(r.verdicts, verdict)
		return nil, nil
	}
	yes, no := true, false
	switch {
	case r == nil && len(wanting) == 0:
		return nil, &no
	case r == nil:
		r = new(received)
		in.remember(id, r)
	case r.done:
		return nil, &yes
	}
	tell = slices.DeleteFunc(wanting, func(s *subscriber) bool { return slices.Contains(r.handled, s) })
	if len(tell) == 0 { // those who failed are gone
		r.done = len(r.handled) > 0
		return nil, &r.done
	}
	r.waiting, r.failed, r.verdicts = slices.Clone(tell), false, []func(bool){verdict}
	return tell, nil
}

// remember makes room by forgetting what came first; who is at it is moved on. in.mu is held.
func (in *inbox) remember(id letterID, r *received) {
	for range in.order {
		if len(in.order) < maxLetters {
			break
		}
		first := in.order[0]
		in.order = in.order[1:]
		if len(in.letters[first].waiting) > 0 {
			in.order = append(in.order, first)
			continue
		}
		delete(in.letters, first)
	}
	in.letters[id] = r
	in.order = append(in.order, id)
}

// settle is told how one subscriber handled a letter.
func (in *inbox) settle(id letterID, s *subscriber, err error) {
	verdicts, taken := in.end(id, s, err)
	for _, verdict := range verdicts {
		verdict(taken)
	}
}

// end returns whom to tell, if that was the last subscriber.
func (in *inbox) end(id letterID, s *subscriber, err error) (verdicts []func(bool), taken bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.letters[id]
	if r == nil {
		return nil, false
	}
	i := slices.Index(r.waiting, s)
	if i < 0 {
		return nil, false
	}
	r.waiting = slices.Delete(r.waiting, i, i+1)
	if err == nil {
		r.handled = append(r.handled, s)
	}
	r.failed = r.failed || err != nil
	if len(r.waiting) > 0 {
		return nil, false
	}
	r.done = !r.failed
	verdicts, r.verdicts = r.verdicts, nil
	return verdicts, r.done
}

// leave settles what a subscriber that is gone has not handled.
func (in *inbox) leave(s *subscriber) {
	in.mu.Lock()
	var left []letterID
	for id, r := range in.letters {
		if slices.Contains(r.waiting, s) {
			left = append(left, id)
		}
	}
	in.mu.Unlock()
	for _, id := range left {
		in.settle(id, s, errGone)
	}
}
