// Package broker decides which session host a user is given. It is pure: it looks at a
// snapshot of one host pool and says where to, by which rule, and why every other host
// was passed over.
//
// The rules, in their order (host-pool-load-balancing, personal-desktop-assignment,
// start-virtual-machine-connect articles):
//
//  1. A session that the user has wins over everything, drain mode and limits too. Where
//     its host is out of service the user is told so: no second session is begun.
//  2. A personal desktop is its user's. Without one, Automatic pools assign the first
//     free host, Direct ones refuse.
//  3. A pooled host takes new sessions while it is usable, not draining and below the
//     limit. Breadth-first takes the one with fewest sessions, depth-first the one with
//     most; between equals, the first by name.
//  4. Only when no running host can take the session is one named that could be started,
//     and only where the pool starts machines on connect.
package broker
