// Package media makes the files that machines are started with: system disks as
// linked clones of an image, and seed disks for the first boot. The drivers share it.
//
//	image (never written) ◀── backing file ── disk.qcow2 (a machine's own, 0.2 MB at first)
//	Seed.NoCloud ──▶ seed.iso, ISO 9660, label "cidata" (cloud-init, cloudbase-init)
//
// A file appears under its name only when it is whole, so that whoever finds it after
// a crash may use it.
package media
