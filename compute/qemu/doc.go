// Package qemu makes machines with QEMU processes of this host, without libvirt.
//
//	<Folder>/machines/<id>/         0700, one machine and all of it
//	  machine.json                  what it is: the Spec without its seed, and its machine type
//	  life.json                     whether it is meant to run, since when, in which boot of the host
//	  disk.qcow2                    linked clone of the image
//	  seed.iso, cred/NAME           first boot's secrets, 0600: files, never arguments
//	  vars.fd, tpm/                 firmware variables and the TPM's state
//	  memory.bin                    the memory of a machine that hibernates
//	  console.log, console.old      serial port, 1 to 2 MiB
//	  pid                           locked by QEMU as long as it lives
//	  qmp.sock, wait.sock           monitors: for questions, and for verbs that wait
//	  event.sock                    monitor for Watch, which stays connected
//	  qemu.log, swtpm.log
//
// A machine's process belongs to no service process: it is started in a session of
// its own, runs on when the service ends, and is found again by the lock on its pid
// file and the UUID that its monitor names, never by a number alone.
//
// QEMU is told to stay when its guest ends (-action shutdown=pause,panic=pause). So a
// guest that powered itself off is seen as such later, whoever watched; a process that
// is gone, though it was meant to run, has crashed.
package qemu
