// Package cli is the administrator's command line of deskyard. It speaks the same
// management API as Azure's own tools, with the grammar of `az
// desktopvirtualization`, and has no way in of its own.
//
// A command is a struct with its flags and a Run method; Commands gathers them for
// kong. The way of a command:
//
//	flags ─► options.connect (where, who) ─► client (token, request, errors)
//	      ─► shape (flatten as az does) ─► --query ─► table, json, tsv
//
// Failures tell what happened, to which object, and what to do next; ExitCode gives
// the process's exit code.
package cli
