// Command sensor puts a temperature into a map in which each sensor has a field, and sums up what all sensors of the mesh
// say.
//
// NX_SENSOR names the sensor, the node's id if unset; NX_CELSIUS is the sample, 20 if unset.
package main

import (
	"strconv"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var celsius = nx.Map("sensor:celsius")

func main() {
	sample, ok := nx.Env("NX_CELSIUS")
	if !ok {
		sample = "20"
	}
	if _, err := strconv.ParseFloat(sample, 64); err != nil {
		nx.Abort("NX_CELSIUS must be a number, not " + strconv.Quote(sample))
	}
	if err := celsius.Set(sensor(), []byte(sample)); err != nil {
		nx.Abort("store the sample: " + err.Error())
	}
	entries, err := celsius.Entries()
	if err != nil {
		nx.Abort("read the samples: " + err.Error())
	}
	var low, high, sum float64
	n := 0
	for _, e := range entries {
		v, err := strconv.ParseFloat(string(e.Value), 64)
		if err != nil {
			nx.Logf("%s says %q, which is no temperature", e.Field, e.Value)
			continue
		}
		if n == 0 {
			low, high = v, v
		}
		low, high, sum, n = min(low, v), max(high, v), sum+v, n+1
	}
	if n > 0 {
		nx.Logf("min %.1f, max %.1f, mean %.1f °C, of %d", low, high, sum/float64(n), n)
	}
}

func sensor() string {
	if name, ok := nx.Env("NX_SENSOR"); ok {
		return name
	}
	id, err := nx.NodeID()
	if err != nil {
		nx.Abort("this node has no id, so name the sensor with NX_SENSOR: " + err.Error())
	}
	return id
}
