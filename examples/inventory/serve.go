package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

// What is here is for a module that is kept running:
//
//	GET    items        [{"item","stock"}]
//	GET    items/NAME   {"item","stock"}
//	POST   items/NAME   {"change": N}, N up or down  → {"item","stock"}
//	DELETE items/NAME
//
// Two shops that cannot see each other may both sell the last piece: no stock is refused that was there when it was
// asked for, and a stock below 0 says what is owed.

// names has what was ever in stock, and was not deleted since.
var names = nx.Set("inventory")

func stock(name string) nx.PNCounter { return nx.PNCounter("inventory:" + name) }

// Limits of what a client may send.
const (
	maxBody   = 1 << 10
	maxName   = 64
	maxChange = 1_000_000
)

// kept is set in a module that is kept running: run is not for it.
var kept bool

//go:wasmexport init
func onInit() { kept = true }

type item struct {
	Item  string `json:"item"`
	Stock int64  `json:"stock"`
}

// failure is an error with the status it is answered with.
type failure struct {
	status int
	why    string
}

func (f failure) Error() string { return f.why }

//go:wasmexport on_request
func onRequest() {
	r := nx.CurrentRequest()
	v, err := serve(r.Method, r.Path)
	status := 200
	if f, ok := err.(failure); ok {
		status = f.status
	} else if err != nil {
		status = 503
	}
	var w nx.Response
	if status == 405 {
		_ = w.SetHeader("Allow", "GET, POST, DELETE")
	}
	if err != nil {
		v = map[string]string{"error": err.Error()}
	}
	_ = w.SetStatus(status)
	_ = w.SetHeader("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func serve(method, path string) (any, error) {
	name, one := strings.CutPrefix(path, "/items/")
	switch {
	case path == "/items" && method == "GET":
		return list()
	case path == "/items":
		return nil, failure{405, "want GET of all items; POST and DELETE are for items/NAME"}
	case !one:
		return nil, failure{404, "want items or items/NAME"}
	case name == "" || len(name) > maxName || strings.Contains(name, "/"):
		return nil, failure{400, fmt.Sprintf("a name has 1 to %d bytes and no slash", maxName)}
	}
	known, err := names.Contains(name)
	if err != nil {
		return nil, err
	}
	switch method {
	case "POST":
		return move(name)
	case "GET", "DELETE":
		if !known {
			return nil, failure{404, "no " + name + " was ever in stock"}
		}
	default:
		return nil, failure{405, "want GET, POST or DELETE"}
	}
	n, err := stock(name).Value()
	if err == nil && method == "DELETE" {
		// Back to 0, or it would be there again with the name.
		if err = stock(name).Add(-n); err == nil {
			err = names.Remove(name)
		}
		n = 0
	}
	return item{name, n}, err
}

func list() (any, error) {
	all := []item{}
	known, err := names.Elements()
	for _, name := range known {
		n, err := stock(name).Value()
		if err != nil {
			return nil, err
		}
		all = append(all, item{name, n})
	}
	return all, err
}

func move(name string) (any, error) {
	var in struct{ Change *int64 }
	body, err := io.ReadAll(io.LimitReader(nx.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, failure{413, "want at most 1 KiB"}
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Change == nil {
		return nil, failure{400, `want {"change": N}`}
	}
	if n := *in.Change; n == 0 || n > maxChange || n < -maxChange {
		return nil, failure{400, fmt.Sprintf("a change is at most %d, up or down, and not 0", maxChange)}
	}
	n, err := stock(name).Value()
	if err != nil {
		return nil, err
	}
	if n+*in.Change < 0 && *in.Change < 0 {
		return nil, failure{409, fmt.Sprintf("there are %d of %s, not %d", n, name, -*in.Change)}
	}
	if err := stock(name).Add(*in.Change); err != nil {
		return nil, err
	}
	return item{name, n + *in.Change}, names.Add(name)
}
