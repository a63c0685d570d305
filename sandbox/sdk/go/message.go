package nx

import (
	"io"
	"math"
	"time"
)

// Messages go between modules on any nodes. A subject is 1 to 128 letters, digits and "_.:-", a payload at most 64 KiB.

// answerSpace is what Ask must offer for an answer.
const answerSpace = 64 << 10

// Message is what on_message is about.
type Message struct {
	Subject string
	From    string // the node it comes from
	Asks    bool   // its sender waits for a Reply
	Payload []byte
}

// CurrentMessage is the message of the call under way. Its payload can be read once.
func CurrentMessage() (Message, error) {
	_, asks := Field("reply")
	payload, err := io.ReadAll(Body)
	return Message{known("subject"), known("from"), asks, payload}, err
}

// Subscribe asks for on_message of a subject.
func Subscribe(subject string) error { return check(msgSubscribe(subject)) }

// Unsubscribe takes a subscription back.
func Unsubscribe(subject string) error { return check(msgUnsubscribe(subject)) }

// Publish tells every subscriber on every node, at most once.
func Publish(subject string, payload []byte) error { return check(msgPublish(subject, payload)) }

// Send tells the subscribers on one node, at least once. It is on this node's disk when Send returns.
func Send(node, subject string, payload []byte) error { return check(msgSend(node, subject, payload)) }

// Ask asks the subscribers and returns the first answer; ok is false if there is none in time.
func Ask(subject string, payload []byte, timeout time.Duration) (answer []byte, ok bool, err error) {
	out := make([]byte, answerSpace)
	n := msgRequest(subject, payload, uint32(max(0, min(timeout.Milliseconds(), math.MaxUint32))), out)
	if ok, err = there(n); ok {
		answer = out[:n:n]
	}
	return answer, ok, err
}

// Reply answers the message of this on_message, once, if its sender asked.
func Reply(payload []byte) error { return check(msgReply(payload)) }
