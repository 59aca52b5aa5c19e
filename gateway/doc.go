// Package gateway is where clients and session hosts meet: the doors that clients come
// through, the legs that hosts dial, and the relay between them.
//
//	client                     gateway                     service            session host
//	  │ door, ticket ───────────▶│ awaits a leg               │                   │
//	  │                          │ Admit(ticket, leg) ───────▶│ dial {leg} ──────▶│
//	  │                          │◀════════════════════ leg, signed ══════════════┤
//	  │                          │◀──── admission {host key} ─┤◀──────── dialled ─┤
//	  │◀═══════════════ RDP ════▶│◀══════════════ RDP ═══════════════════════════▶│
//	  │                          │ Connected, Ended ─────────▶│                   │
//
// Native clients speak TLS with the host through it, and it sees nothing. For the web
// client it ends the host's TLS, pinned to the certificate that the host reported.
//
// It has no database and asks the service only when a session begins; a session goes on
// without the service, and its end is told when the service is back. So it can be a
// process of its own, on a machine of its own.
package gateway
