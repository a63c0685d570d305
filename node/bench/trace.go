package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// edit replaces deleted code points at a position by inserted text.
type edit struct {
	at, deleted int
	inserted    string
}

// readTrace reads an editing trace: gzip JSON with txns[].patches[] =
// [position, deleted, inserted] and endContent. Of several authors' concurrent
// traces there is no single replay, so only those of one author fit.
func readTrace(file string) (edits []edit, end string, err error) {
	if file == "" {
		return nil, "", errors.New("want --file TRACE.json.gz")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	var t struct {
		EndContent string `json:"endContent"`
		Txns       []struct {
			Agent   int                  `json:"agent"`
			Patches [][3]json.RawMessage `json:"patches"`
		} `json:"txns"`
	}
	if err := json.NewDecoder(z).Decode(&t); err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	for _, txn := range t.Txns {
		if txn.Agent != t.Txns[0].Agent {
			return nil, "", fmt.Errorf("%s: a trace of several authors", file)
		}
		for _, patch := range txn.Patches {
			var e edit
			if err := errors.Join(json.Unmarshal(patch[0], &e.at), json.Unmarshal(patch[1], &e.deleted),
				json.Unmarshal(patch[2], &e.inserted)); err != nil {
				return nil, "", fmt.Errorf("%s: %w", file, err)
			}
			edits = append(edits, e)
		}
	}
	return edits, t.EndContent, nil
}

type update = func(crdt.Object, replica.Now) (crdt.Op, bool)

func updates(edits []edit) (all []update) {
	for _, e := range edits {
		all = e.appendUpdates(all)
	}
	return all
}

func (e edit) appendUpdates(all []update) []update {
	if e.deleted > 0 {
		all = append(all, func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			return o.(*crdt.SequenceState).DeleteRange(e.at, e.deleted), true
		})
	}
	if e.inserted != "" {
		var values [][]byte
		for _, r := range e.inserted {
			values = append(values, []byte(string(r)))
		}
		all = append(all, func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			return o.(*crdt.SequenceState).InsertAt(e.at, values), true
		})
	}
	return all
}

func showsText(b *bare, want string) error {
	var got strings.Builder
	err := b.data.View(crdt.Sequence, "text", func(o crdt.Object) {
		o.(*crdt.SequenceState).Range(func(_ crdt.Dot, v []byte) bool { got.Write(v); return true })
	})
	if err == nil && got.String() != want {
		err = fmt.Errorf("the text is not the trace's: %d bytes, want %d", got.Len(), len(want))
	}
	return err
}
