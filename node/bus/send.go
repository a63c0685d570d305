package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Send tells the subscribers on one node, "" being this one, at least once, for a module. It returns when the message is
// on disk. The error is sandbox.ErrQuota if too much of that module waits to be sent, sandbox.ErrDenied when the network
// does not let this node say anything.
func (b *Bus) Send(_ context.Context, module, node, subject string, payload []byte) error {
	if err := checkMessage(subject, payload); err != nil {
		return err
	}
	to := b.self
	if node != "" {
		var err error
		if to, err = b.o.Find(node); err != nil {
			return fmt.Errorf("bus: send: %w", err)
		}
	}
	if to != b.self && !b.o.MaySpeak(b.self) {
		return sandbox.ErrDenied
	}
	now := time.Now()
	stamp, err := b.stamps.next(now)
	if err != nil {
		return err
	}
	if err := b.outbox.add(to, stamp, module, appendContent(nil, subject, payload), now); err != nil {
		return err
	}
	signal(b.wake)
	return nil
}

// Forget drops what a module sent and nobody has taken yet, and answers how much that was. The module must not run.
func (b *Bus) Forget(module string) (messages int, err error) { return b.outbox.forget(module) }

// Waiting is how many messages of each module wait to be sent.
func (b *Bus) Waiting() map[string]int { return b.outbox.waiting() }
