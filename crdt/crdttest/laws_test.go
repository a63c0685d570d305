package crdttest

import (
	"testing"

	"github.com/numax-mesh/numax/crdt"
)

func TestLaws(t *testing.T) {
	for f := crdt.GCounter; f.Known(); f++ {
		t.Run(f.String(), func(t *testing.T) { Laws(t, f) })
	}
}
