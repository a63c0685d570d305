// Command comments is a list to which each node adds at the place where it stopped. What one node types reads as typed, and
// what several type at once stands one after the other, never mixed.
//
// NX_COMMENTS lists comments, separated by "|".
package main

import (
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var comments = nx.List("comments")

// last is where this node stopped: the id of its last comment, kept in its private keys.
var last = []byte("comments/last")

func main() {
	typed, ok := nx.Env("NX_COMMENTS")
	if !ok {
		typed = "first|second"
	}
	place, _, err := nx.Get(last) // nothing yet = the head of the list
	if err != nil {
		nx.Abort("find the place: " + err.Error())
	}
	at := nx.ID(place)
	for _, comment := range strings.Split(typed, "|") {
		if at, err = comments.InsertAfter(at, []byte(comment)); err != nil {
			nx.Abort("add a comment: " + err.Error())
		}
	}
	if err := nx.Put(last, []byte(at)); err != nil {
		nx.Abort("remember the place: " + err.Error())
	}
	values, err := comments.Values()
	if err != nil {
		nx.Abort("read the comments: " + err.Error())
	}
	for i, v := range values {
		nx.Logf("%d. %s", i+1, v)
	}
}
