// Command tags is a set that anyone may add to and remove from; who adds a tag while another removes it keeps it.
//
// NX_TAGS lists changes, e.g. "go,mesh,-draft": add two and remove one.
package main

import (
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var tags = nx.Set("tags")

func main() {
	changes, ok := nx.Env("NX_TAGS")
	if !ok {
		changes = "go,mesh,wasm"
	}
	for _, tag := range strings.Split(changes, ",") {
		var err error
		if old, removed := strings.CutPrefix(tag, "-"); removed {
			err = tags.Remove(old)
		} else {
			err = tags.Add(tag)
		}
		if err != nil {
			nx.Abort("change " + tag + ": " + err.Error())
		}
	}
	all, err := tags.Elements()
	if err != nil {
		nx.Abort("read the tags: " + err.Error())
	}
	nx.Logf("%d tags: %s", len(all), strings.Join(all, ", "))
}
