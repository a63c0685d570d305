package enemytest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// own is what an honest node has written, under a key that nobody else uses: what every node must
// show of it in the end.
type own struct {
	key string

	mu     sync.Mutex // guards the fields below
	count  int        // gcounter
	sum    int        // pncounter
	text   string     // lww-register
	fields map[string]string
	set    map[string]bool
	list   []string
	writes int
}

func newOwn(name string) *own {
	return &own{key: "of " + name, fields: make(map[string]string), set: make(map[string]bool)}
}

// write makes one change that rng draws, and notes it. The model changes first: so others never
// show more than it has.
func (o *own) write(ctx context.Context, n *node.Node, rng *rand.Rand) error {
	c := api.Change{Dataset: dataset, Key: o.key}
	o.mu.Lock()
	o.writes++
	word := fmt.Sprintf("%s, write %d", o.key, o.writes)
	name := strconv.Itoa(rng.IntN(8))
	switch rng.IntN(9) {
	case 0, 1:
		c.Family, c.Verb = "gcounter", "inc"
		o.count++
	case 2:
		by := rng.IntN(4) - 4 // never 0, which is no change
		if rng.IntN(2) == 0 {
			by = -by
		}
		c.Family, c.Verb, c.Args = "pncounter", "inc", []string{strconv.Itoa(by)}
		o.sum += by
	case 3:
		c.Family, c.Verb, c.Args = "lww-register", "set", []string{word}
		o.text = word
	case 4, 5:
		c.Family, c.Verb, c.Args = "lww-map", "set", []string{name, word}
		o.fields[name] = word
		if rng.IntN(4) == 0 {
			c.Verb, c.Args = "remove", c.Args[:1]
			delete(o.fields, name)
		}
	case 6, 7:
		c.Family, c.Verb, c.Args = "orset", "add", []string{name}
		o.set[name] = true
		if rng.IntN(3) == 0 {
			c.Verb = "remove"
			delete(o.set, name)
		}
	case 8:
		c.Family, c.Verb, c.Args = "rga", "add", []string{word}
		if len(o.list) > 0 && rng.IntN(3) == 0 || len(o.list) > 50 {
			at := rng.IntN(len(o.list))
			c.Verb, c.Args = "remove", []string{strconv.Itoa(at)}
			o.list = slices.Delete(o.list, at, at+1)
		} else {
			o.list = append(o.list, word)
		}
	}
	o.mu.Unlock()
	if err := n.Apply(ctx, c); err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	return n.Sync(ctx)
}

// counted is the grow-only counter, which nobody may show more of.
func (o *own) counted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}

// show is what read must answer.
func (o *own) show() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return showOwn(strconv.Itoa(o.count), strconv.Itoa(o.sum), o.text, o.fields, slices.Collect(maps.Keys(o.set)), o.list)
}

func showOwn(count, sum, text string, fields map[string]string, set, list []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %q\n", count, sum, text)
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "%s=%q ", k, fields[k])
	}
	fmt.Fprintf(&b, "\n%q\n%q", slices.Sorted(slices.Values(set)), list)
	return b.String()
}

// read is what a node shows of it.
func (o *own) read(n *node.Node) (string, error) {
	var v [6]api.Value
	for i, family := range []string{"gcounter", "pncounter", "lww-register", "lww-map", "orset", "rga"} {
		var err error
		if v[i], err = n.Get(dataset, family, o.key); err != nil {
			return "", fmt.Errorf("%s %s: %w", family, o.key, err)
		}
	}
	text := ""
	if v[2].Text != nil {
		text = *v[2].Text
	}
	return showOwn(v[0].Count, v[1].Count, text, v[3].Fields, v[4].List, v[5].List), nil
}
