// Command status is one value that everyone sees and the last one to write decides.
//
// NX_STATUS is the new status; "open" if unset.
package main

import nx "github.com/numax-mesh/numax/sandbox/sdk/go"

var status = nx.Register("status")

func main() {
	old, known, err := status.Get()
	if err != nil {
		nx.Abort("read the status: " + err.Error())
	}
	now, ok := nx.Env("NX_STATUS")
	if !ok {
		now = "open"
	}
	if err := status.Set([]byte(now)); err != nil {
		nx.Abort("set the status: " + err.Error())
	}
	if known {
		nx.Logf("was %s, is %s", old, now)
	} else {
		nx.Logf("is %s", now)
	}
}
