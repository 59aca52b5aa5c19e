package computetest

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/deskyard/deskyard/compute"
)

func capabilities(f *fixture) {
	c := f.capabilities()
	if c.Host == "" || c.Version == "" || c.Architecture == "" {
		f.Errorf("host, version or architecture is missing: %+v", c)
	}
	if c.CPUs < 1 || c.MemoryMB < 1 || c.DiskGB < 1 || c.FreeMemMB > c.MemoryMB || c.FreeDiskGB > c.DiskGB {
		f.Errorf("no such host can be: %+v", c)
	}
	switch {
	case c.Accelerator == "kvm" && c.Reason != "":
		f.Errorf("kvm runs, and yet there is a reason: %q", c.Reason)
	case c.Accelerator == "tcg" && c.Reason == "":
		f.Error("the host emulates and does not say why")
	case c.Accelerator != "kvm" && c.Accelerator != "tcg":
		f.Errorf("accelerator is %q", c.Accelerator)
	}
	before := c.Machines
	f.ensure(f.spec())
	if now := f.capabilities().Machines; now != before+1 {
		f.Errorf("%d machines before, %d with one more", before, now)
	}
}

func ensureOnce(f *fixture) {
	s := f.ensure(f.spec())
	o := f.state(s, compute.Off)
	if o.ID != s.ID || o.Name != s.Name || o.CPUs != s.CPUs || !o.Since.IsZero() {
		f.Errorf("observed %+v of %s", o, s.Name)
	}
	kinds := f.of(s.ID)
	if kinds["machine"] != 1 || kinds["disk"] != 1 {
		f.Errorf("the inventory has %v", kinds)
	}
}

func ensureAgain(f *fixture) {
	s := f.ensure(f.spec())
	before := f.of(s.ID)
	f.ensure(s)
	f.reopen()
	f.ensure(s)
	f.state(s, compute.Off)
	for kind, n := range f.of(s.ID) {
		if before[kind] != n {
			f.Errorf("%d of kind %s at first, %d after asking again", before[kind], kind, n)
		}
	}
	f.power(s, compute.Start)
	f.state(s, compute.Running)
}

func ensureChangesNothing(f *fixture) {
	s := f.ensure(f.spec())
	other := s
	other.CPUs, other.MemoryMB, other.Name = 2, s.MemoryMB*2, "another"
	f.ensure(other)
	if o := f.observe(s); o.CPUs != s.CPUs || o.Name != s.Name {
		f.Errorf("what stood was changed: %+v", o)
	}
}

func ensureRunning(f *fixture) {
	s := f.running()
	since := f.observe(s).Since
	f.ensure(s)
	if o := f.state(s, compute.Running); !o.Since.Equal(since) {
		f.Errorf("started at %s, and since %s after asking again", since, o.Since)
	}
}

func ensureFails(f *fixture) {
	s := f.spec()
	s.Image.Path = filepath.Join(f.host.Folder, "no-such-image.qcow2")
	if err := f.d.Ensure(f.ctx(), s); err == nil {
		f.Fatal("a machine was made from an image that does not exist")
	}
	f.reopen()
	f.must(f.d.Remove(f.ctx(), s.ID))
	if left := f.of(s.ID); len(left) > 0 {
		f.Errorf("left after Remove: %v", left)
	}
	s.Image = f.Image
	f.ensure(s) // and the same id can be made when its cause is gone
	f.state(s, compute.Off)
}

func ensureOtherOwner(f *fixture) {
	s := f.ensure(f.spec())
	s.Owner = "somebody-else"
	if err := f.d.Ensure(f.ctx(), s); err == nil {
		f.Error("a machine of another owner was taken over")
	}
	if got := f.items("somebody-else"); len(got) > 0 {
		f.Errorf("somebody else owns %v", got)
	}
}

func ensureNoSpace(f *fixture) {
	s := f.spec()
	s.Disk.SizeGB = f.capabilities().DiskGB + 1
	f.wants(f.d.Ensure(f.ctx(), s), compute.ErrNoSpace, "a disk larger than the storage")
	s.Disk.SizeGB = 0
	s.MemoryMB = f.capabilities().MemoryMB + 1
	f.wants(f.d.Ensure(f.ctx(), s), compute.ErrNoSpace, "more memory than the host has")
	f.must(f.d.Remove(f.ctx(), s.ID))
	if left := f.of(s.ID); len(left) > 0 {
		f.Errorf("left after Remove: %v", left)
	}
}

func ensureSmallDisk(f *fixture) {
	s := f.spec()
	s.Image.VirtualBytes = 8 << 30
	s.Disk.SizeGB = 4
	if err := f.d.Ensure(f.ctx(), s); err == nil || errors.Is(err, compute.ErrNoSpace) {
		f.Errorf("a disk of 4 GiB for an image of 8 GiB: %v", err)
	}
}

func ensureConfidential(f *fixture) {
	if c := f.capabilities(); c.Confidential != "" {
		f.Skipf("the hardware encrypts memory (%s)", c.Confidential)
	}
	s := f.spec()
	s.Confidential = true
	f.wants(f.d.Ensure(f.ctx(), s), compute.ErrUnsupported, "confidential memory")
	f.must(f.d.Remove(f.ctx(), s.ID))
	if left := f.of(s.ID); len(left) > 0 {
		f.Errorf("left: %v", left)
	}
}

func diskSize(f *fixture) {
	s := f.spec()
	s.Disk = compute.Disk{SizeGB: 3, Class: "Premium_LRS"}
	f.ensure(s)
	if o := f.observe(s); o.DiskGB != 3 {
		f.Errorf("the disk has %d GiB", o.DiskGB)
	}
	f.power(s, compute.Start)
	if o := f.state(s, compute.Running); o.DiskGB != 3 {
		f.Errorf("the running machine's disk has %d GiB", o.DiskGB)
	}
}

func parallel(f *fixture) {
	specs := make([]compute.Spec, 4)
	for i := range specs {
		specs[i] = f.spec()
	}
	var wg sync.WaitGroup
	for _, s := range specs {
		wg.Go(func() {
			if err := f.d.Ensure(f.ctx(), s); err != nil {
				f.Errorf("ensure %s: %v", s.Name, err)
				return
			}
			if err := f.d.Power(f.ctx(), s.ID, compute.Start); err != nil {
				f.Errorf("start %s: %v", s.Name, err)
			}
			if o, err := f.d.Observe(f.ctx(), s.ID); err != nil || o.State != compute.Running {
				f.Errorf("observe %s: %s, %v", s.Name, o.State, err)
			}
			if err := f.d.Remove(f.ctx(), s.ID); err != nil {
				f.Errorf("remove %s: %v", s.Name, err)
			}
		})
	}
	wg.Wait()
	for _, s := range specs {
		if left := f.of(s.ID); len(left) > 0 {
			f.Errorf("left of %s: %v", s.Name, left)
		}
	}
}

func trustedLaunch(f *fixture) {
	c := f.capabilities()
	s := f.spec()
	s.SecureBoot, s.TPM, s.MemoryMB = true, true, 256
	if s.Image = f.Firmware; s.Image.Path == "" {
		s.Image = f.Image
		s.Image.Firmware, s.Image.Kernel, s.Image.Initrd, s.Image.Arguments = "uefi", "", "", ""
	}
	if !c.SecureBoot || !c.TPM {
		f.wants(f.d.Ensure(f.ctx(), s), compute.ErrUnsupported, "secure boot and TPM on a host without them")
		return
	}
	f.ensure(s)
	f.power(s, compute.Start)
	f.state(s, compute.Running)
	f.reopen()
	f.power(s, compute.PowerOff)
	f.state(s, compute.Off)
	f.power(s, compute.Start) // the firmware's variables and the TPM's state are used again
	f.state(s, compute.Running)
	f.must(f.d.Remove(f.ctx(), s.ID))
	if left := f.of(s.ID); len(left) > 0 {
		f.Errorf("left: %v", left)
	}
}
