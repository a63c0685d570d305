// Package sandbox runs WebAssembly guests: it compiles core modules with wazero, gives them the "nx" host
// functions and WASI preview 1 without files, environment or sockets, and bounds their memory, time and output.
// It never knows what stands behind a host function: storage, CRDTs and the network come in as the interfaces of
// [Host].
//
//	wasm ── Compile ──► Module ── Run ──► instance ── nx.* ──► Host{KV, CRDT, Net, …}
//	        preamble      │       fresh    memory cap           checks first, then one
//	        imports       │       per Run  deadline, budget     method of one interface
//	        metering      │                ctx ends = guest ends
//	        entry point   └─ safe for concurrent Runs
//
// A [Module] may be run any number of times, also at once; each [Module.Run] has an instance of its own that is
// closed when Run returns and is never used again, least of all after a trap. The binary interface that guests see
// is written down in ABI.md.
package sandbox
