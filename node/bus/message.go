package bus

// Message is what a subscriber is told. The payload is its own.
type Message struct {
	Subject string
	From    string // the node it was sent on
	Payload []byte
	// Reply answers whoever asked; nil = nobody did. It is called at most once.
	Reply func(payload []byte) error
	// Done tells how it was handled; nil = nobody asks. Unless it is called with nil, a message that was sent to be told
	// at least once is told again.
	Done func(err error)
}
