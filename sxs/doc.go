// Package sxs is the session host's side-by-side stack: it keeps the machine's RDP
// server on loopback with a key of its own, and lists, disconnects, logs off and
// messages the sessions of its users. It works for the infrastructure agent, over a
// local socket, so that neither takes the other down.
//
// On Linux the RDP server is xrdp and sessions are logind's; on Windows they are
// the terminal services'.
package sxs
