// Command votes counts votes: every choice is a counter of its own, so that votes cast at once on different nodes all count.
//
// NX_VOTE is the choice: tabs, spaces or both; tabs if unset.
package main

import (
	"slices"
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var choices = []string{"tabs", "spaces", "both"}

func main() {
	vote, ok := nx.Env("NX_VOTE")
	if !ok {
		vote = choices[0]
	}
	if !slices.Contains(choices, vote) {
		nx.Abort("there is no choice " + vote + ": vote for " + strings.Join(choices, ", "))
	}
	if err := ballot(vote).Add(1); err != nil {
		nx.Abort("vote: " + err.Error())
	}
	for _, choice := range choices {
		n, err := ballot(choice).Value()
		if err != nil {
			nx.Abort("count " + choice + ": " + err.Error())
		}
		nx.Logf("%-6s %d", choice, n)
	}
}

func ballot(choice string) nx.GCounter { return nx.GCounter("votes:" + choice) }
