// Package signon lets people of the service's directory sign in to a session host
// that runs Linux, with their password or with a credential that works once.
//
//	xrdp-sesman, sshd, sudo, …     boot loader (root)                          service
//	   │ PAM: pam_exec, password       │                                          │
//	   │ on standard input             │ ◄── Grant: user, SHA-256, expiry ── agent│ (over the agent's link)
//	   ├─► hook ── Socket ────────────►│ 1. a grant with that hash? used up       │
//	   │                               │ 2. else, joined: user, password ────────►│ password, lock, role on this machine
//	   │                               │ ◄──────── who it is, administrator ──────┤
//	   │                               │ 3. account on this machine: found, made, or refused
//	   │ ◄── exit 0, or 1 and why ─────┤                                          │
//
// The hook is a process of its own that a PAM module starts; it knows nothing and
// decides nothing. A name without an "@" is a local account's and goes on to the next
// module at once, so local accounts work whether or not anything here does.
//
// An account is a person's when the file of accounts says so by the person's object
// id, never by a name alone: a name that was given to somebody else does not open the
// home of who had it before, and an account that was there already is never taken over.
package signon
