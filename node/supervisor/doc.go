// Package supervisor keeps modules running: it starts what is on the node's shelf, tells instances what happens, one
// event at a time, starts them again when they fail, and replaces them while events wait. It never decides what a
// guest may do: node/module says it, node/guest and package sandbox hold it.
//
//	shelf (files) ──► unit: one module
//	                    │ instance ◄── mailbox ◄── session: timers, subscriptions
//	                    │                   ▲  ◄── feeds: changes of datasets, from durable cursors
//	                    ▼                   └───── web requests, peers
//	                  restarts, log, figures
package supervisor
