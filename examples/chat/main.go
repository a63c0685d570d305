// Command chat is a room without a server: a list of messages, the newest first. Messages written while nodes are apart are
// there after they meet, in the same order for everyone.
//
// Kept running by a node, it has a page: see serve.go. Run by hand, it says one thing and shows the last lines: NX_SAY is
// the message; NX_NAME who says it, the node's id if unset.
package main

import nx "github.com/numax-mesh/numax/sandbox/sdk/go"

var room = nx.List("chat")

// shown is how many messages are logged.
const shown = 10

//go:wasmexport run
func run() {
	if kept {
		return
	}
	say, ok := nx.Env("NX_SAY")
	if !ok {
		say = "hello"
	}
	if _, err := room.InsertAfter(nx.Head, []byte(name()+": "+say)); err != nil {
		nx.Abort("say it: " + err.Error())
	}
	messages, err := room.Values()
	if err != nil {
		nx.Abort("read the room: " + err.Error())
	}
	for _, m := range messages[:min(shown, len(messages))] {
		nx.Log(string(m))
	}
	if more := len(messages) - shown; more > 0 {
		nx.Logf("and %d before that", more)
	}
}

func name() string {
	if name, ok := nx.Env("NX_NAME"); ok {
		return name
	}
	id, err := nx.NodeID()
	if err != nil {
		return "someone"
	}
	return id
}

// The node calls what is exported, never main.
func main() {}
