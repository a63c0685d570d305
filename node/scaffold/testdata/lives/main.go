// Command lives is a guest that lives on: it asks for everything a guest may ask for, and logs what it hears. Its twins in the other
// languages log the same, line for line.
package main

import (
	"fmt"
	"io"
	"time"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

func main() {}

var calls int // memory lasts from call to call

//go:wasmexport init
func start() {
	done("watch", nx.Watch("a/"))
	done("unwatch", nx.Unwatch("b/"))
	done("timer", nx.SetTimer(7, 100*time.Millisecond, time.Second))
	see("cancel", try(nx.CancelTimer(1)))
	see("cancel", try(nx.CancelTimer(9)))
	see("use", try(nx.UseDataset("other")))
	see("use", try(nx.UseDataset("none")))
	done("subscribe", nx.Subscribe("s.x"))
	done("unsubscribe", nx.Unsubscribe("s.y"))
	done("publish", nx.Publish("s.p", []byte("hi")))
	done("publish", nx.Publish("not a subject", nil))
	done("send", nx.Send("node-2", "s.s", []byte("x")))
	answer, ok, err := nx.Ask("s.q", []byte("?"), 50*time.Millisecond)
	see("ask", try(fmt.Sprint(ok, " ", string(answer)), err))
	fetched, err := nx.Fetch("POST", "http://h/", []nx.Header{{"A", "b"}, {"C", "d"}}, []byte("body"))
	if err != nil {
		nx.Abort(err.Error())
	}
	see("fetch", fmt.Sprint(fetched.Status))
	see("fetch", fetched.Header("Kind")+","+fetched.Header("None"))
	body, err := io.ReadAll(fetched)
	see("fetch", try(string(body), err))
	blob()
	see("event", try(nx.Field("event")))
}

func blob() {
	var w nx.BlobWriter
	_, err := w.Write([]byte("a blob"))
	done("blob", err)
	hash, err := w.Finish()
	if err != nil {
		nx.Abort(err.Error())
	}
	b, _, err := nx.OpenBlob(hash)
	if err != nil {
		nx.Abort(err.Error())
	}
	text := make([]byte, 64)
	n, err := b.Read(text)
	see("blob", try(fmt.Sprint(b.Size(), " ", string(text[:n])), err))
	see("blob", try(nx.DropBlob(hash)))
	see("blob", try(nx.DropBlob(hash)))
	_, ok, err := nx.OpenBlob(hash)
	see("blob", try(ok, err))
}

//go:wasmexport on_change
func onChange() { change("on_change") }

//go:wasmexport on_remote_op
func onRemoteOp() { change("on_remote_op") }

func change(what string) {
	calls++
	c := nx.CurrentChange()
	see(what, c.Dataset+" "+c.Family+" "+c.Key)
}

//go:wasmexport on_tick
func onTick() {
	calls++
	see("on_tick", fmt.Sprint(nx.CurrentTimer()))
}

//go:wasmexport on_message
func onMessage() {
	calls++
	m, err := nx.CurrentMessage()
	see("on_message", try(m.Subject+" "+m.From+" "+string(m.Payload), err))
	if m.Asks {
		done("reply", nx.Reply(append([]byte("echo "), m.Payload...)))
	}
	done("reply", nx.Reply(nil))
}

//go:wasmexport on_request
func onRequest() {
	calls++
	r := nx.CurrentRequest()
	see("on_request", r.Method+" "+r.Path+" "+r.Query+" "+r.Host+" "+r.Remote+" "+r.Header("Accept"))
	body, err := io.ReadAll(nx.Body)
	see("on_request", try(len(body), err))
	var w nx.Response
	done("status", w.SetStatus(201))
	done("status", w.SetStatus(99))
	done("header", w.SetHeader("Kind", "x"))
	_, err = w.Write([]byte("got "))
	done("write", err)
	_, err = w.Write(body[:4])
	done("write", err)
}

//go:wasmexport on_peer_connected
func onPeerConnected() { peer("on_peer_connected") }

//go:wasmexport on_peer_disconnected
func onPeerDisconnected() { peer("on_peer_disconnected") }

func peer(what string) {
	calls++
	p := nx.CurrentPeer()
	see(what, p.Addr+" "+p.ID)
}

//go:wasmexport shutdown
func shutdown() { see("shutdown", fmt.Sprint(calls)) }

func see(what, value string) { nx.Log(what + ": " + value) }

func done(what string, err error) { see(what, try("ok", err)) }

func try[V, E any](v V, err E) string {
	if e, failed := any(err).(error); failed {
		return e.Error()
	}
	return fmt.Sprint(v)
}
