// Command counter counts its own runs, on every node of the mesh together.
package main

import nx "github.com/numax-mesh/numax/sandbox/sdk/go"

var visits = nx.GCounter("counter:visits")

func main() {
	if err := visits.Add(1); err != nil {
		nx.Abort("count this visit: " + err.Error())
	}
	n, err := visits.Value()
	if err != nil {
		nx.Abort("read the count: " + err.Error())
	}
	nx.Logf("visits so far: %d", n)
}
