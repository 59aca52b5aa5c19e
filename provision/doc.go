// Package provision makes what the management API promises: deployments, machines,
// what runs in them at first boot, their removal.
//
//	armapi ── Admit, Submit (in the request's transaction) ──▶ rows of work
//	                                                             │
//	                              reconcile.Loop ◀───────────────┘
//	                               │        │         │        │
//	                        deployment   machine  extension  removal
//	                               │        │         │
//	                     Resources (the API, as the caller)   │
//	                                        │         │
//	                                   compute.Driver │
//	                                              deskyard.Guests (the boot loader inside)
//
// Nothing here answers a client. A request ends with rows; what is seen of progress
// is read from rows. Each reconciler takes one step at a time from whatever state it
// finds, so that kill -9 between any two of them costs nothing but time.
package provision
