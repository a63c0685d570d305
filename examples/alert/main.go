// Command alert watches what the sensors of other nodes say (see ../sensors), and speaks up when one goes over NX_OVER
// degrees, 24 if unset.
//
//	alerts          map with a field for each sensor: what it said when it last went over
//	alerts:raised   counter of alerts
//	alert.over      a message for whoever listens, with the same text
//
// It does so once each time a reading goes over: what is over already is in the module's private keys, so a restart
// changes nothing. To be over no more a reading has to fall half a degree below, or one that trembles there would
// raise an alert each second.
package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

const slack = 0.5 // °C

var (
	summaries = nx.Map("sensors/summary")
	alerts    = nx.Map("alerts")
	raised    = nx.GCounter("alerts:raised")
)

var threshold = 24.0

//go:wasmexport init
func onInit() {
	s, ok := nx.Env("NX_OVER")
	if !ok {
		return
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		nx.Abort("NX_OVER must be a number of degrees, not " + strconv.Quote(s))
	}
	threshold = v
}

// onRemoteOp is called after the map has changed elsewhere, once for any number of changes, and for those of a time when
// the node was down.
//
//go:wasmexport on_remote_op
func onRemoteOp() {
	sensors, err := summaries.Entries()
	if err != nil {
		nx.Log("read the sensors: " + err.Error())
		return
	}
	for _, s := range sensors {
		var said struct{ Last float64 }
		if json.Unmarshal(s.Value, &said) != nil {
			continue
		}
		if err := judge(s.Field, said.Last); err != nil {
			nx.Log("sensor " + s.Field + ": " + err.Error())
		}
	}
}

// judge compares with what was known. The alert and the mark that it was raised are written in order and kept together:
// after a crash there are both, or it is raised again, never lost.
func judge(sensor string, celsius float64) error {
	mark := []byte("over/" + sensor)
	was, err := nx.Exists(mark)
	switch {
	case err != nil:
		return err
	case was && celsius < threshold-slack:
		return nx.Delete(mark)
	case was || celsius <= threshold:
		return nil
	}
	text := fmt.Appendf(nil, "%s is at %.1f °C, over %g", sensor, celsius, threshold)
	if err := alerts.Set(sensor, text); err != nil {
		return err
	}
	if err := raised.Add(1); err != nil {
		return err
	}
	if err := nx.Put(mark, []byte{1}); err != nil {
		return err
	}
	nx.Log(string(text))
	return nx.Publish("alert.over", text)
}

// The node calls what is exported, never main.
func main() {}
