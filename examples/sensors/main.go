// Command sensors samples a temperature on every node it runs on, and shows those of all nodes.
//
//	sensors/readings/NAME   map of the sensor's last two minutes, a field for each second: "time °C"
//	sensors/summary         map with a field for each sensor: {"last","time","min","mean","max","n"} of those two minutes
//
// A sensor writes its own fields alone, so nothing is ever in conflict, and the same fields again and again, so nothing
// grows.
//
//	GET api/summary   {NAME: {…}}
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

const window = 120 // readings kept of a sensor

var summaries = nx.Map("sensors/summary")

type summary struct {
	Last float64 `json:"last"`
	Time int64   `json:"time"` // Unix milliseconds
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
	N    int     `json:"n"`
}

//go:wasmexport on_tick
func onTick() {
	if err := sample(nx.Now()); err != nil {
		nx.Log("sample: " + err.Error())
	}
}

func sample(now time.Time) error {
	name, err := name()
	if err != nil {
		return err
	}
	readings := nx.Map("sensors/readings/" + name)
	slot := fmt.Sprintf("%03d", now.Unix()%window)
	celsius := measure(name, now)
	if err := readings.Set(slot, fmt.Appendf(nil, "%d %.2f", now.UnixMilli(), celsius)); err != nil {
		return err
	}
	entries, err := readings.Entries()
	if err != nil {
		return err
	}
	s := summary{Last: celsius, Time: now.UnixMilli(), Min: celsius, Max: celsius}
	sum := 0.0
	for _, e := range entries {
		var at int64
		var v float64
		if _, err := fmt.Sscan(string(e.Value), &at, &v); err != nil || now.UnixMilli()-at > window*1000 {
			continue // of before a pause
		}
		s.Min, s.Max, sum, s.N = min(s.Min, v), max(s.Max, v), sum+v, s.N+1
	}
	s.Mean = math.Round(sum/float64(max(s.N, 1))*100) / 100
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return summaries.Set(name, b)
}

// name is the end of the node's id, which is what differs.
func name() (string, error) {
	id, err := nx.NodeID()
	return strings.ToLower(id[max(0, len(id)-6):]), err
}

// drift is noise that wanders, as that of real sensors does.
var drift float64

// measure makes up a plausible temperature: a level and a slow wave that are the sensor's own, and drift.
func measure(name string, now time.Time) float64 {
	seed, _ := nx.SHA256([]byte(name))
	level := 19 + 6*float64(seed[0])/255
	phase := 2 * math.Pi * float64(seed[1]) / 255
	period := 60 + 60*float64(seed[2])/255 // seconds
	var noise [1]byte
	_ = nx.Random(noise[:])
	drift = 0.9*drift + 0.12*(float64(noise[0])/127.5-1)
	wave := math.Sin(2*math.Pi*math.Mod(float64(now.UnixMilli())/1000, period)/period + phase)
	return math.Round((level+1.2*wave+drift)*100) / 100
}

//go:wasmexport on_request
func onRequest() {
	var w nx.Response
	if r := nx.CurrentRequest(); r.Path != "/api/summary" || r.Method != "GET" {
		_ = w.SetStatus(404)
		fmt.Fprintln(w, "want GET api/summary")
		return
	}
	entries, err := summaries.Entries()
	if err != nil {
		_ = w.SetStatus(503)
		fmt.Fprintln(w, err)
		return
	}
	all := map[string]json.RawMessage{}
	for _, e := range entries {
		if json.Valid(e.Value) {
			all[e.Field] = e.Value
		}
	}
	_ = w.SetHeader("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

// The node calls what is exported, never main.
func main() {}
