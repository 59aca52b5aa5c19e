// Package tsgu is the server's side of the RD Gateway protocol over HTTP ([MS-TSGU]
// 2.2.10, 3.7), as mstsc, the Windows App and FreeRDP speak it: from the byte stream of
// a WebSocket, or of a pair of RDG_IN_DATA and RDG_OUT_DATA requests, it makes the
// stream of one RDP connection.
//
//	client                                    gateway
//	  handshake request {version, auth} ──────▶
//	  ◀───────────────────────── handshake response
//	  tunnel create {capabilities, cookie} ───▶   Gate: whose ticket, which host
//	  ◀──────────────────────────── tunnel response
//	  tunnel authorization {client's name} ───▶
//	  ◀── authorization response {redirection, idle time}
//	  channel create {host, port} ────────────▶
//	  ◀─────────────────────────── channel response
//	  data ◀═════════════════════════════════▶ data
//	  keepalive ──────────────────────────────▶
//	  close channel ──────────────────────────▶
//
// The RDP stream carries the client's own TLS to the host: the gateway cannot read it.
package tsgu
