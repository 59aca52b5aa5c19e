// Package libvirt makes machines through libvirtd, on this host or another.
//
//	Driver ── connections (one per call in flight) ──▶ libvirtd ──▶ QEMU, swtpm
//	   │                                                  │
//	   │  images, seeds: volume streams                   ├─ storage pool "deskyard" (a folder)
//	   └──────────────────────────────────────────────────┤    dy-<owner>-image-<sha256>.qcow2  one copy of each image
//	                                                      │    dy-<owner>-<id>-disk.qcow2       a machine's linked clone
//	                                                      │    dy-<owner>-<id>-seed.iso, -credential-…, -console.log
//	                                                      └─ domain deskyard-<name>-<short id>, our metadata in it
//
// Every file goes through libvirt's storage pool, so that a host by URI differs in
// nothing from this one. An image is copied into the pool once, by its checksum:
// libvirt changes the owners of the files its machines use, and the catalogue's are
// not its to change.
//
// go-libvirt's calls take no context. So each call has a connection to itself while
// it lasts; one that is given up closes that connection, and nobody else's.
//
// A machine exists once its domain is defined, which is the last step of Ensure;
// volumes carry owner and machine in their names for what was cut off before.
//
// Networks: "user" is QEMU's own, by qemu:commandline, because libvirt's type "user"
// cannot choose the guest's address; libvirt marks such domains as tainted. "bridge"
// uses package compute/network's devices on this host, and on other hosts an existing
// bridge with the rules as an nwfilter.
package libvirt
