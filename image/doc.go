// Package image keeps the disk images that machines are cloned from: a folder that
// the service reads and `deskyard image` writes.
//
//	DATA/images/                                      0755
//	  aliases.json                                    Microsoft's names, and what they mean here
//	  deskyard+debian-12+desktop+2026.11.23/          0755, one folder an image version
//	    manifest.json, disk.qcow2, kernel, initrd     0444
//
// An image never changes once it is there: it comes with a rename of a folder that is
// whole and on disk, and goes with a rename before it is deleted. So readers take no
// lock, and a changed modification time of the catalogue's folder is all they look
// for. Writers hold the lock file .lock.
//
// Files from elsewhere are read by qemu-img alone, with bounds to its time and memory.
// A file that refers to others is refused: whoever made it could have the service copy
// any file of the host into a machine.
package image
