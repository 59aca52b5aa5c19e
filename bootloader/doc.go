// Package bootloader fetches, verifies, starts, supervises, updates and rolls back
// the components of a machine. It knows nothing of what they do.
//
// # On disk
//
//	/opt/deskyard/COMPONENT/VERSION/         the files of one version, with manifest.json
//	/opt/deskyard/COMPONENT/current          link (Windows: file) that names the version to run
//	/opt/deskyard/COMPONENT/.stage-*         unpacking; removed at start
//	/var/lib/deskyard/agent.json             who the service is: addresses, CA, key of manifests (written by the agent)
//	/var/lib/deskyard/bootloader/state.json  what is desired, what is on trial, what failed
//	/var/lib/deskyard/bootloader/downloads/  partial downloads by digest, resumed after a break
//	/run/deskyard/children.json              processes of this boot loader, for re-exec and after a crash
//	/run/deskyard/bootloader.sock            control socket
//
// # An update
//
//	PUT /v1/desired -> state.json
//	  fetch signed manifest -> Ed25519 over its bytes, right component, version, OS, architecture
//	  fetch archive         -> size and SHA-256 as signed, before a byte is unpacked
//	  unpack to .stage-*    -> exactly the files of the manifest, each digest checked, all flushed
//	  rename to VERSION     -> the version exists whole or not at all
//	  state.json: trial     -> from here a power loss repeats the trial, as often as MaxAttempts
//	  flip current, stop the old process, start the new one
//	  POST /v1/ready within a minute and still alive
//	    yes -> state.json: good; versions beyond the third are removed
//	    no  -> flip current back to the version before, start that, record the failure
//
// Every step leaves a disk from which New can go on. A version that was tried and
// failed is tried again when it is desired with Force: who desires knows the
// maintenance windows, the boot loader does not.
//
// # Trust
//
// Only the signed manifest is trusted. Where the bytes come from does not matter:
// the transport is checked as well, but nothing rests on it. A version that a
// system package put in place is as trusted as the boot loader itself, which came
// the same way.
//
// # Goroutines
//
//	Run ── control socket (net/http)
//	     └ one unit per component ── one reader per child's output, one waiter per child
package bootloader
