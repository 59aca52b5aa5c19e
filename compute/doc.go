// Package compute is the port to hypervisors: what the service asks of whatever
// makes its machines, and nothing of how it is done.
//
//	                 ┌───────────┐
//	provision ──────▶│  Driver   │◀── compute/qemu      QEMU processes and QMP, this machine
//	                 └───────────┘◀── compute/libvirt   libvirtd here or elsewhere
//	                              ◀── compute/fake      in memory, for tests and rehearsals
//
// # The contract
//
//   - Every verb is idempotent by Spec.ID or by machine id. Asking again after a
//     crash, by this process or the next, ends in the same single machine.
//   - Ensure makes what is missing and changes nothing that stands: disk, network,
//     firmware, definition. It does not start the machine. What it made before it
//     failed stays and belongs to the same id, so that Remove finds it.
//   - Remove ends with nothing left, and says so by returning nil; removing what does
//     not exist is no error.
//   - Observe tells the truth of this moment. It never answers from memory what the
//     hypervisor can be asked; a hypervisor that does not answer is ErrUnreachable,
//     never a machine that is off.
//   - Everything that a driver makes carries Owner and the machine's id, so that
//     Inventory finds it though every database were lost, and never claims what
//     somebody else made.
//   - An image file is never written to, nor are its owner and mode changed.
//   - No secret (Seed) is ever on a command line, in a log or readable by other users.
//   - Every verb ends when ctx does.
//
// Package compute/computetest holds these sentences as tests; each driver passes them.
package compute
