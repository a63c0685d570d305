// Package bus carries messages between modules, on one node and across nodes. It never decides who may say what to
// whom: grants are asked before, and Options.MaySpeak knows the members of a closed network.
//
//	Publish, Request ──► subscribers here
//	        │ frame, signed, sealed in closed networks
//	        ▼
//	   gossip topic ──► Validate ──► Receive ──► subscribers there ──Reply──► stream, else gossip ──► Request
//
//	Send ──► outbox (disk) ──► courier ══ stream ══► Serve ──► inbox ──► subscribers there
//	              ▲                                              │
//	              └─────────── taken: forget; not: later ◄───────┘ when all have called Done
//
// What is published or asked arrives at most once: gossip loses what a queue has no room for. What is sent is told
// at least once, in no order that is promised, to whoever subscribes at that node: it waits in the outbox until that
// node is connected, a subscriber is there, and every one of them has handled it; or until it is MaxAge old. It
// is told twice when a node ends between handling it and saying so.
//
// A slow subscriber holds up nobody: deliver never waits, and what it does not take is lost when it was published, and
// kept when it was sent. What others say is bounded by author and by peer; the rates are in rate.go.
//
// A node that has just started has heard of nobody, so a frame from before can be shown to it once more.
package bus
