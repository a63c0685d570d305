// Command settings is a map of which every field is decided by its last writer, so that two people may change two settings
// at once and both changes stay.
//
// NX_SET lists changes, e.g. "theme=dark,lang=en,-beta": set two and remove one.
package main

import (
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var settings = nx.Map("settings")

func main() {
	changes, ok := nx.Env("NX_SET")
	if !ok {
		changes = "theme=dark,lang=en"
	}
	for _, change := range strings.Split(changes, ",") {
		if err := apply(change); err != nil {
			nx.Abort("change " + change + ": " + err.Error())
		}
	}
	entries, err := settings.Entries()
	if err != nil {
		nx.Abort("read the settings: " + err.Error())
	}
	for _, e := range entries {
		nx.Logf("%s is %s", e.Field, e.Value)
	}
}

func apply(change string) error {
	if field, ok := strings.CutPrefix(change, "-"); ok {
		return settings.Remove(field)
	}
	field, value, _ := strings.Cut(change, "=")
	return settings.Set(field, []byte(value))
}
