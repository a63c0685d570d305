// Command todo is a to-do list that people on many nodes edit at once, also while the nodes, or the people's browsers, are
// cut off.
//
//	todo/items      add-wins set of ids: what is on the list
//	todo/item/ID    last-writer-wins map of one item: text, done
//
// Every request may be repeated: a browser that does not know whether one arrived sends it again.
//
//	GET    api/items       [{"id","text","done"}]
//	PUT    api/items/ID    {"text":…, "done":…}, each if it is to change
//	DELETE api/items/ID
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var items = nx.Set("todo/items")

func fields(id string) nx.Map { return nx.Map("todo/item/" + id) }

// Limits of what a browser may send.
const (
	maxBody  = 8 << 10
	maxText  = 500 // bytes
	maxID    = 64
	maxItems = 1000
)

type item struct {
	ID   string `json:"id"`
	Text string `json:"text"`
	Done bool   `json:"done"`
}

//go:wasmexport on_request
func onRequest() {
	r := nx.CurrentRequest()
	id, one := strings.CutPrefix(r.Path, "/api/items/")
	switch {
	case r.Path == "/api/items" && r.Method == "GET":
		list()
	case !one:
		fail(404, "there is no "+r.Path)
	case id == "" || len(id) > maxID || strings.Contains(id, "/"):
		fail(400, "an id is 1 to 64 characters without a slash")
	case r.Method == "PUT":
		put(id)
	case r.Method == "DELETE":
		// The fields stay: an edit elsewhere that did not know of this brings the item back whole.
		done(items.Remove(id))
	default:
		fail(405, "want PUT or DELETE")
	}
}

func list() {
	ids, err := items.Elements()
	all := make([]item, 0, len(ids))
	for _, id := range ids {
		text, _, _ := fields(id).Get("text")
		mark, _, _ := fields(id).Get("done")
		all = append(all, item{id, string(text), string(mark) == "1"})
	}
	if err != nil {
		fail(500, err.Error())
		return
	}
	answer(200, all)
}

func put(id string) {
	var edit struct {
		Text *string `json:"text"`
		Done *bool   `json:"done"`
	}
	body, err := io.ReadAll(io.LimitReader(nx.Body, maxBody+1))
	if err == nil {
		err = json.Unmarshal(body, &edit)
	}
	switch {
	case err != nil:
		fail(400, "want a JSON object of at most 8 KiB: "+err.Error())
		return
	case edit.Text != nil && (strings.TrimSpace(*edit.Text) == "" || len(*edit.Text) > maxText):
		fail(400, fmt.Sprintf("a text has 1 to %d bytes", maxText))
		return
	}
	ids, err := items.Elements()
	if err == nil && len(ids) >= maxItems && !slices.Contains(ids, id) {
		fail(409, fmt.Sprintf("the list is full: %d items", maxItems))
		return
	}
	if err == nil && edit.Text != nil {
		err = fields(id).Set("text", []byte(*edit.Text))
	}
	if err == nil && edit.Done != nil {
		err = fields(id).Set("done", []byte(map[bool]string{true: "1", false: "0"}[*edit.Done]))
	}
	// Added again with every edit: an edit wins over a removal at the same time.
	if err == nil {
		err = items.Add(id)
	}
	done(err)
}

func done(err error) {
	if err != nil {
		fail(503, err.Error())
		return
	}
	answer(200, struct{}{})
}

func fail(status int, why string) { answer(status, map[string]string{"error": why}) }

func answer(status int, v any) {
	var w nx.Response
	_ = w.SetStatus(status)
	_ = w.SetHeader("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// The node calls what is exported, never main.
func main() {}
