// Package fake is a hypervisor in memory: machines that boot, shut down, hibernate,
// crash and vanish as real ones do, as fast as a test wants, for tests and for
// rehearsals of large runs.
//
// It behaves, and does not merely record: it keeps compute's contract and passes its
// conformance suite. What a test adds to it:
//
//	Options.Guest    what runs "inside" each started machine
//	Options.Delay    how long each verb takes
//	(*Driver).Fail   the next calls of a verb fail
//	(*Driver).Cut    the host does not answer until it is mended
//	(*Driver).Crash  a machine ends without anybody's asking
//
// Its machines live as long as the Driver does: it stands for the hypervisor and for
// the driver that talks to it. A test of the service's restart hands the same Driver
// to the next service.
package fake
