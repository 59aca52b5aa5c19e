// Package relay carries the bytes of sessions between clients and session hosts. It
// knows nothing of users, hosts or RDP, and needs nothing but the two connections while
// a session runs.
//
//	client ══ WebSocket or TLS ══▶ Session ◀══ leg ══ session host
//	            one goroutine each way; what has arrived is sent on at once, together
//
// Small records are what RDP is made of, and each costs an encryption and a system call
// each way. Records therefore lets the copy take every TLS record that has already
// arrived before it writes, and sends what a write makes with one system call. Nothing
// ever waits for more to come.
//
// A Rendezvous is where the two connections of a session meet.
package relay
