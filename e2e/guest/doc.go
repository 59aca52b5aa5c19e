// Package guest runs Debian machines that know nothing of Deskyard in QEMU, for the
// end-to-end tests and the demo: it builds their image, starts them without any
// privilege, and does to them what an operator does over SSH and what fate does to
// machines (freeze, power loss, a cloned disk).
//
//	host                              guest
//	127.0.0.1:PORT  ── ssh only ──▶   :22
//	127.0.0.1:*     ◀── 10.0.2.2:* ── agent      (QEMU's user network; nothing else comes in)
package guest
