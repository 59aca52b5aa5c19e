// Package agent is the session host's side of package reverse: it registers the
// machine once, holds the control link, checks the host's health, and passes the
// service's commands to the stack that owns the sessions.
//
// The components of a host and how they speak:
//
//	           service
//	              ▲ control link (TLS, outbound)
//	boot loader ◀─┴─ agent ──▶ sxs-stack         /run/deskyard/sxs.sock
//	(versions)          └────▶ monitoring-agent  /run/deskyard/monitor.sock
//
// # Goroutines
//
//	Run ─ register, link, back off, again
//	 ├ watch: health checks each half minute, sessions and components each two
//	 │        seconds, onto the board
//	 └ per link: read ─ one per command
//	             beat, report (waits on the board), measure
package agent
