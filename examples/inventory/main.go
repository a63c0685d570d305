// Command inventory keeps a stock that several shops add to and take from at once, also while they cannot reach each other.
//
// Kept running by a node, it has an HTTP API: see serve.go. Run by hand, it moves widgets: NX_RECEIVED and NX_SHIPPED say
// how many came in and went out; 10 and 3 if unset.
package main

import (
	"strconv"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var widgets = nx.PNCounter("inventory:widgets")

//go:wasmexport run
func run() {
	if kept {
		return
	}
	received, shipped := number("NX_RECEIVED", 10), number("NX_SHIPPED", 3)
	if err := widgets.Add(received); err != nil {
		nx.Abort("receive widgets: " + err.Error())
	}
	if err := widgets.Add(-shipped); err != nil {
		nx.Abort("ship widgets: " + err.Error())
	}
	stock, err := widgets.Value()
	if err != nil {
		nx.Abort("read the stock: " + err.Error())
	}
	nx.Logf("received %d, shipped %d, in stock %d", received, shipped, stock)
	if stock < 0 {
		nx.Log("sold more than there is: the shops could not see each other")
	}
}

func number(name string, otherwise int64) int64 {
	s, ok := nx.Env(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		nx.Abort(name + " must be a number of widgets, not " + strconv.Quote(s))
	}
	return n
}

// The node calls what is exported, never main.
func main() {}
