// Package nx lets a Go program that is built for WebAssembly use the node it runs on: replicated data, private
// keys, the log, the network. It has no dependencies and never talks to anything but its host.
//
//	GOOS=wasip1 GOARCH=wasm go build -o counter.wasm .
//	numax-node run counter.wasm
//
// Replicated values are named by a key. There are six families, with key spaces of their own: [GCounter],
// [PNCounter], [Register], [Map], [Set] and [List]. Their names cost nothing to make, so they are good as package
// variables:
//
//	var visits = nx.GCounter("counter:visits")
//
//	func main() {
//		if err := visits.Add(1); err != nil {
//			nx.Abort(err.Error())
//		}
//	}
//
// A write is applied when it returns: the guest reads what it wrote. [Commit] waits until it is on disk too. Keys,
// fields and elements are UTF-8 of at most 8 KiB, values at most 1 MiB; a key must not start with "__nx/".
//
// # Guests that live on
//
// A guest may also export functions that the node calls when something happens, and is then kept between calls:
//
//	//go:wasmexport on_message
//	func onMessage() {
//		m, err := nx.CurrentMessage()
//		…
//	}
//
//	func main() {} // not called
//
// They are init, on_change, on_remote_op, on_tick, on_message, on_request, on_peer_connected, on_peer_disconnected and
// shutdown, and run, which numax-node run calls once in place of main. Such a guest is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o NAME.wasm .
//
// Watches, timers, messages, blobs and web requests are for guests whose manifest asks for them; others get [ErrDenied].
//
// # On other platforms
//
// Built for anything but wasip1, the package is its own test double: one offline node in memory, shared by the whole
// process, that answers as a node without peers would. So the logic of a guest is tested with plain go test, and the
// examples here run. It keeps the limits and the errors of the ABI; its clock, randomness and environment are the
// process's. [Reset] empties it. [During] calls a handler as a node would.
package nx
