package deskyard

// RunNeeds is what a run costs: of one machine, of all, and what is free for it.
type RunNeeds struct {
	Each  RunResources `json:"each"`
	Total RunResources `json:"total"`
	Free  RunFree      `json:"free"`
}

// RunResources are what machines take of the installation.
type RunResources struct {
	Machines  int `json:"machines"`
	CPUs      int `json:"virtualProcessors"`
	MemoryMB  int `json:"memoryMB"`
	DiskGB    int `json:"osDiskSizeGB"` // as large as the disks may grow: they are thin
	Addresses int `json:"addresses"`    // of the subnet; 0 where a DHCP server of the owner's gives them
}

// RunFree is what is free of each; nil where nobody knows or nothing bounds it.
type RunFree struct {
	Machines  *int `json:"machines"`
	CPUs      *int `json:"virtualProcessors"`
	MemoryMB  *int `json:"memoryMB"`
	Addresses *int `json:"addresses"` // counting ends soon after 1000, more than any run takes
}

// Needs is what the run costs, of a run that Check found no fault with.
func (a *AddSessionHosts) Needs(f RunFacts) RunNeeds {
	c := &runCheck{run: a, facts: f}
	each := RunResources{Machines: 1, CPUs: c.cpus(), MemoryMB: c.memory(), DiskGB: a.Machines.DiskGB}
	if each.DiskGB == 0 && f.Image != nil {
		each.DiskGB = f.Image.SizeGB
	}
	free := RunFree{Machines: known(f.FreeMachines), CPUs: known(f.FreeCores), MemoryMB: known(f.FreeMemoryMB)}
	if f.Network != nil && f.Network.FreeAddresses >= 0 {
		each.Addresses, free.Addresses = 1, known(f.Network.FreeAddresses)
	}
	n := a.Machines.Count
	return RunNeeds{Each: each, Free: free, Total: RunResources{
		Machines: n, CPUs: n * each.CPUs, MemoryMB: n * each.MemoryMB, DiskGB: n * each.DiskGB, Addresses: n * each.Addresses,
	}}
}

// known is a number of which -1 says that nobody knows it.
func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}
