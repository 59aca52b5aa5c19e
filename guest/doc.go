// Package guest is the part of the boot loader that belongs to machines which the
// service made itself: it accepts the invitation of the first boot, keeps a link, and
// runs the steps that extensions have become.
//
//	first boot ── invitation ──▶ enrol ──▶ state (0600) ─┐   the invitation is erased
//	every boot ◀───────────────────────────────────────┘
//	    open ─▶ poll ◀══ steps, metadata ══ service
//	             │            │
//	             │            └─▶ http://169.254.169.254, for this machine alone
//	             └─▶ journal ─▶ one step at a time ─▶ journal ─▶ result
//
// A step is run once: its result is in the journal before it is told, and a step that
// is asked for again is answered from there. What a step needs to know in secret goes
// to the programs it runs over standard input, never to an argument, a log or the
// journal.
//
// The boot loader's own service has few rights (see its unit). Steps that change the
// system run as units of their own, by systemd-run, where there is systemd.
package guest
