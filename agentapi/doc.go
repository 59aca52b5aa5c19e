// Package agentapi is the agents' door: registration and the control link, whose
// protocol package reverse describes. It is the live side of the session hosts
// (deskyard.Fleet): which are connected, what they report, and commands to them.
//
// # Goroutines
//
//	net/http handler ── upgrade ─┐ ends here: its buffers and grown stack go
//	                             └ open: hello, auth, welcome (one store write)
//	                                  └ serve: one per link, blocked in read; answers heartbeats,
//	                                       │   and has a short-lived one do what messages ask for
//	                                       ├── result of commands ─▶ Do
//	                                       │
//	                  report, link up/down ▼
//	                              ledger: one goroutine, gathers changes and
//	                              writes them in batches; heartbeats never get here
//	                              updates: one goroutine, each minute, which hosts
//	                              may start an update now
//
// A lease lives in memory: the time of the last frame of a link. A link that is
// silent for deskyard.LeaseFor is closed.
package agentapi
