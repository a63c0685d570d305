package main

import (
	"encoding/json"
	"hash/fnv"
	"io"
	"sort"
	"strings"
	"time"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

// What is here is for a module that is kept running and has a page.
//
//	POST api/say    {"id","name","text"}     may be repeated: an id is said once
//	POST api/here   {"name","typing"}      → [{"name","typing"}], who is here on all nodes

// Limits of what a browser may send.
const (
	maxBody = 8 << 10
	maxName = 40
	maxText = 2000
	maxHere = 200
)

// away is how long somebody is here after their browser last said so.
const away = 6 * time.Second

type person struct {
	Name   string `json:"name"`
	Typing bool   `json:"typing"`
	until  time.Time
}

// here is who is here, by name. It is not kept: whoever is here says so again soon.
var here = map[string]person{}

// kept is set in a module that is kept running: run is not for it.
var kept bool

//go:wasmexport init
func onInit() { kept = true }

// onMessage hears of those at other nodes, and of our own.
//
//go:wasmexport on_message
func onMessage() {
	var p person
	m, err := nx.CurrentMessage()
	if err == nil && json.Unmarshal(m.Payload, &p) == nil && p.Name != "" && len(p.Name) <= maxName {
		arrive(p)
	}
}

func arrive(p person) {
	now := nx.Now()
	for name, x := range here {
		if now.After(x.until) {
			delete(here, name)
		}
	}
	if p.until = now.Add(away); len(here) < maxHere {
		here[p.Name] = p
	}
}

//go:wasmexport on_request
func onRequest() {
	var in struct {
		ID, Name, Text string
		Typing         bool
	}
	r := nx.CurrentRequest()
	body, err := io.ReadAll(io.LimitReader(nx.Body, maxBody+1))
	if err == nil && r.Method == "POST" {
		err = json.Unmarshal(body, &in)
	}
	in.Name, in.Text = strings.TrimSpace(in.Name), strings.TrimSpace(in.Text)
	switch {
	case r.Method != "POST" || r.Path != "/api/say" && r.Path != "/api/here":
		fail(404, "want POST api/say or api/here")
	case err != nil:
		fail(400, "want a JSON object of at most 8 KiB: "+err.Error())
	case in.Name == "" || len(in.Name) > maxName || strings.Contains(in.Name, ": "):
		fail(400, `a name has 1 to 40 bytes and no ": " in it`)
	case r.Path == "/api/here":
		p := person{Name: in.Name, Typing: in.Typing}
		arrive(p)
		if b, err := json.Marshal(p); err == nil {
			_ = nx.Publish("chat.here", b) // they hear of it the next time if not now
		}
		answer(200, present())
	case in.ID == "" || len(in.ID) > maxName || in.Text == "" || len(in.Text) > maxText:
		fail(400, "want an id of 1 to 40 bytes and a text of 1 to 2000")
	default:
		if err := sayOnce(in.ID, in.Name+": "+in.Text); err != nil {
			fail(503, err.Error())
			return
		}
		answer(200, struct{}{})
	}
}

func present() []person {
	all := []person{}
	for _, p := range here {
		if nx.Now().Before(p.until) {
			all = append(all, p)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// sayOnce leaves out a message that was just said: a browser that got no answer sends it again. The last 256 or so are
// remembered, in private keys.
func sayOnce(id, line string) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	slot := []byte{'s', 'a', 'i', 'd', byte(h.Sum32())}
	if last, _, err := nx.Get(slot); err != nil || string(last) == id {
		return err
	}
	if _, err := room.InsertAfter(nx.Head, []byte(line)); err != nil {
		return err
	}
	return nx.Put(slot, []byte(id))
}

func fail(status int, why string) { answer(status, map[string]string{"error": why}) }

func answer(status int, v any) {
	var w nx.Response
	_ = w.SetStatus(status)
	_ = w.SetHeader("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
