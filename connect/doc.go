// Package connect brings users to their desktops: what they may open, which session
// host they get, the ticket that lets their client through a gateway once, and the
// record that explains it all afterwards. It knows no HTTP; doors above it do.
//
//	door                       connect                              store, hosts
//	 │ Connect(user, resource)   │                                        │
//	 ├──────────────────────────►│ may the user? broker.Place on the view │
//	 │                           ├── slot and record, one transaction ───►│ full after all: the next host
//	 │◄── ticket: user, host, ───┤                                        │
//	 │    connection, 30 s       │                                        │
//	gateway                      │                                        │
//	 │ Admit(ticket, leg) ──────►│ verify, burn ─────────────────────────►│ the connection's row, once
//	 │                           ├── dial {leg, urls, grant} ────────────►│ host dials the gateway
//	 │◄── admission ─────────────┤◄──────────────────────── dialled ──────┤
//	 │ Connected, Ended ────────►│ record                                 │
//	                             │◄── the host's sessions changed ────────┤ slots follow
//
// # Slots
//
// A slot is a user's place on a host (deskyard.Slot). It is Pending from the decision
// on and Active once the host reports the user's session; sessions that came about
// without the service hold one too. The number of slots is what limits are compared
// with, in the statement that takes one. A slot that no session follows is given back:
// at once when its connection fails, soon after its connection ends, and in any case
// when it is due.
//
// # Views
//
// A decision over 10,000 hosts must not read 10,000 rows. Each pool that is connected to
// has a view in memory: rows of hosts, slots, states. The store tells what it wrote
// (Service.Changed), and the rows concerned are read again before the next decision;
// the state of whichever host is picked is looked at again, and before somebody is refused
// those of all: in a large pool once a second and beside the decisions of others. What a
// view says is where to look first; what holds is the statement that reserves.
//
// # Tickets
//
// A ticket is signed and says whose connection it is; that it works once is known by the
// connection's own row, whose mark "redeemed" one statement sets. So nothing has to be
// remembered in memory, and a ticket used before a restart stays used after it.
package connect
