// Package reverse is the protocol between a session host's agent and the service.
// The agent always dials; the service never needs a port on the host.
//
// # Trust
//
// The agent knows one thing of the service: the SHA-256 of its CA's public key,
// from the registration key. It offers ALPN before "http/1.1", sees the leaf of
// that CA, and checks that it answers to ServerName. Addresses are free to change.
// No check looks at a clock: the pin does not expire, and freshness comes from the
// service's nonce, so a machine whose clock is years off, or that was off for
// years, comes back.
//
// The service knows the agent by an Ed25519 key that the agent made.
//
// # Registration
//
//	agent                                              service
//	  POST RegisterPath {token, machine, publicKey, proof}
//	     ───────────────────────────────────────────────▶  token, key limits, proof,
//	                                                       name, substrate
//	     ◀───────────────────────────────────────────────  {hostId, resourceId, …}
//	  stores the answer, erases the token
//
// It is idempotent: the same public key, or the same machine, gets the same host.
//
// # Control link
//
//	GET LinkPath, Upgrade: websocket
//	   ◀─ hello    {version, nonce}
//	   ── auth     {version, hostId, epoch, machine, signature} ─▶
//	   ◀─ welcome  {nextEpoch, heartbeatSeconds, …}   or  refused {code, message, retryAfterSeconds}
//	stores nextEpoch
//	   ── confirm  {epoch} ─▶
//	   ── report   {…} ─▶              at link up, then when it changes
//	   ── ping (WebSocket) ─▶          the heartbeat; its payload is the last round trip
//	   ◀─ pong (WebSocket)
//	   ◀─ command  id {verb, …}
//	   ── result   id {error} ─▶
//	   ◀─ desired  {components}        versions that the host should run
//	   ── metrics  {…} ─▶
//	   ── stopping {} ─▶               the machine shuts down or reboots
//	   ◀─ bye      {reason, retryAfterSeconds}   the service closes the link
//
// # Epochs
//
// Each welcome hands out a new epoch, which the agent must have on disk before it
// confirms. The service accepts the last confirmed epoch and the one handed out
// after it, so a break at any point locks nobody out. A copy of a disk soon holds
// an epoch that has passed: while the original lives, the copy is refused.
//
// # Versions
//
// Messages of an unknown type and unknown fields are ignored, so that either side
// may be newer. Version changes only when that is not enough.
package reverse
