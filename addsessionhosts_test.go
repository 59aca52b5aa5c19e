package deskyard

import (
	"slices"
	"strings"
	"testing"
)

// goodRun is a run that no rule objects to, and the world it is checked against.
func goodRun() (AddSessionHosts, RunFacts) {
	return AddSessionHosts{
			Basics:   AddBasics{ResourceGroup: "rg1", NamePrefix: "hp01-sh"},
			Machines: AddMachines{Count: 2, Size: "Standard_D2s_v5", DiskType: "Premium_LRS", Image: ImageReference{ID: "/i"}},
			Network:  AddNetwork{VirtualNetwork: "vnet1", Subnet: "desks"},
			Admin:    AddAdmin{User: "deskadmin", Password: "Correct-Horse-7", Confirm: "Correct-Horse-7"},
		}, RunFacts{
			GroupExists: true, Location: "eastus", Known: true, Zones: []string{"1", "2"},
			Image:   &ImageFacts{Name: "Deskyard:debian-12:desktop:1", OS: "linux", UEFI: true, SizeGB: 4, SignedBoot: true},
			Size:    &SizeFacts{Name: "Standard_D2s_v5", CPUs: 2, MemoryMB: 8192, Premium: true, Hibernation: true, Trusted: true},
			Network: &NetworkFacts{Location: "eastus", FreeAddresses: 200}, FreeCores: 100, FreeMachines: 100, FreeMemoryMB: 1 << 20,
			SecureBoot: true, TPM: true,
		}
}

// goodHCIRun is the same on Azure Stack HCI.
func goodHCIRun() (AddSessionHosts, RunFacts) {
	a, f := goodRun()
	a.Basics.Kind = "AzureStackHCIVirtualMachine"
	a.Machines = AddMachines{Count: 2, CustomLocation: "rack", CPUs: 2, MemoryMB: 4096, MemoryType: "Static"}
	a.Network = AddNetwork{LogicalNetwork: "ln1"}
	a.Directory = AddDirectory{Directory: "ActiveDirectory", JoinUPN: "join@example.org", JoinPassword: "x"}
	f.Custom, f.Network.Custom = true, "/subscriptions/s/customLocations/rack"
	return a, f
}

func TestAGoodRunHasNoFault(t *testing.T) {
	for name, make := range map[string]func() (AddSessionHosts, RunFacts){"Azure": goodRun, "HCI": goodHCIRun} {
		a, f := make()
		if faults, warnings := a.Check(f); len(faults) > 0 || len(warnings) > 0 {
			t.Errorf("%s: %v %v", name, faults, warnings)
		}
	}
}

// TestEachRuleOfTheWizardIsHeld breaks one rule at a time: the fault must name its
// tab and parameter and nothing else may be wrong.
func TestEachRuleOfTheWizardIsHeld(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *AddSessionHosts, f *RunFacts)
		target string
		word   string
	}{
		{"group", func(_ *AddSessionHosts, f *RunFacts) { f.GroupExists = false }, "basics.resourceGroup", "does not exist"},
		{"no prefix", func(a *AddSessionHosts, _ *RunFacts) { a.Basics.NamePrefix = "" }, "basics.namePrefix", "required"},
		{"long prefix", func(a *AddSessionHosts, _ *RunFacts) { a.Basics.NamePrefix = "abcdefghijkl" }, "basics.namePrefix", "12 characters"},
		{"numeric prefix", func(a *AddSessionHosts, _ *RunFacts) { a.Basics.NamePrefix = "12345" }, "basics.namePrefix", "digits alone"},
		{"hyphen at the end", func(a *AddSessionHosts, _ *RunFacts) { a.Basics.NamePrefix = "abc-" }, "basics.namePrefix", "hyphen"},
		{"full stop", func(a *AddSessionHosts, _ *RunFacts) { a.Basics.NamePrefix = "a.b" }, "basics.namePrefix", "letters"},
		{"number too long", func(a *AddSessionHosts, f *RunFacts) { a.Basics.NamePrefix, f.FirstNumber = "abcdefghijk", 999 }, "basics.namePrefix", "16 characters"},
		{"kind", func(a *AddSessionHosts, _ *RunFacts) { a.Basics.Kind = "Hyper-V" }, "basics.virtualMachineType", "neither"},
		{"mixed kinds", func(_ *AddSessionHosts, f *RunFacts) { f.HostKinds = []string{"AzureStackHCI"} }, "basics.virtualMachineType", "one kind"},

		{"none", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.Count = 0 }, "virtualMachines.numberOfVirtualMachines", "between 1 and 400"},
		{"too many", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.Count, f.Network.FreeAddresses, f.FreeCores, f.FreeMachines, f.FreeMemoryMB = 401, -1, -1, -1, -1
		}, "virtualMachines.numberOfVirtualMachines", "between 1 and 400"},
		{"full pool", func(_ *AddSessionHosts, f *RunFacts) { f.Hosts = 9999 }, "virtualMachines.numberOfVirtualMachines", "10000"},
		{"no hypervisor", func(_ *AddSessionHosts, f *RunFacts) { f.NoHypervisor = "none backs eastus" }, "virtualMachines.numberOfVirtualMachines", "none backs"},
		{"machine quota", func(_ *AddSessionHosts, f *RunFacts) { f.FreeMachines = 1 }, "virtualMachines.numberOfVirtualMachines", "quota"},
		{"core quota", func(_ *AddSessionHosts, f *RunFacts) { f.FreeCores = 3 }, "virtualMachines.numberOfVirtualMachines", "3 are free"},
		{"memory", func(_ *AddSessionHosts, f *RunFacts) { f.FreeMemoryMB = 16383 }, "virtualMachines.numberOfVirtualMachines", "MiB free"},

		{"location", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.Location = "westus" }, "virtualMachines.location", "must be the virtual network's"},
		{"unknown location", func(_ *AddSessionHosts, f *RunFacts) { f.Known = false }, "virtualMachines.location", "does not exist"},
		{"availability", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.Availability = "Sometimes" }, "virtualMachines.availabilityOption", "Sometimes"},
		{"zones without option", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.Zones = []string{"1"} }, "virtualMachines.availabilityOption", "AvailabilityZone"},
		{"no zone", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.Availability = "AvailabilityZone" }, "virtualMachines.availabilityZones", "at least one"},
		{"wrong zone", func(a *AddSessionHosts, _ *RunFacts) {
			a.Machines.Availability, a.Machines.Zones = "AvailabilityZone", []string{"3"}
		}, "virtualMachines.availabilityZones", "it has: 1, 2"},
		{"no set", func(a *AddSessionHosts, _ *RunFacts) {
			a.Machines.Availability, a.Machines.AvailabilitySet = "AvailabilitySet", "as1"
		}, "virtualMachines.availabilitySetName", "does not exist"},
		{"full set", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.Availability, a.Machines.AvailabilitySet = "AvailabilitySet", "as1"
			f.Set = &SetFacts{Location: "eastus", Machines: 199}
		}, "virtualMachines.availabilitySetName", "limit of 200"},

		{"no image", func(_ *AddSessionHosts, f *RunFacts) { f.Image = nil }, "virtualMachines.imageReference", "catalogue"},
		{"no size", func(_ *AddSessionHosts, f *RunFacts) { f.Size = nil }, "virtualMachines.size", "does not exist"},
		{"security type", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.SecurityType = "Paranoid" }, "virtualMachines.securityType", "Paranoid"},
		{"secure boot on standard", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.SecureBoot = ptr(true) }, "virtualMachines.securityType", "TrustedLaunch"},
		{"trusted, generation 1", func(a *AddSessionHosts, f *RunFacts) { a.Machines.SecurityType, f.Image.UEFI = "TrustedLaunch", false }, "virtualMachines.securityType", "generation 1"},
		{"trusted, managed image", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.SecurityType, f.Image.Managed = "TrustedLaunch", true
		}, "virtualMachines.securityType", "managed"},
		{"trusted, unsigned image", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.SecurityType, f.Image.SignedBoot = "TrustedLaunch", false
		}, "virtualMachines.secureBoot", "secure boot"},
		{"trusted, old size", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.SecurityType, f.Size.Trusted = "TrustedLaunch", false
		}, "virtualMachines.size", "TrustedLaunch"},
		{"trusted, no firmware", func(a *AddSessionHosts, f *RunFacts) { a.Machines.SecurityType, f.SecureBoot = "TrustedLaunch", false }, "virtualMachines.secureBoot", "OVMF"},
		{"trusted, no TPM", func(a *AddSessionHosts, f *RunFacts) { a.Machines.SecurityType, f.TPM = "TrustedLaunch", false }, "virtualMachines.vTPM", "swtpm"},
		{"confidential without hardware", func(a *AddSessionHosts, _ *RunFacts) {
			a.Machines.SecurityType, a.Machines.ConfidentialDisk = "ConfidentialVM", true
		}, "virtualMachines.securityType", "SEV-SNP"},
		{"confidential without encryption", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.SecurityType, f.Confidential = "ConfidentialVM", true
		},
			"virtualMachines.confidentialComputeEncryption", "required"},
		{"confidential without vTPM", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.SecurityType, a.Machines.ConfidentialDisk, a.Machines.VTPM, f.Confidential = "ConfidentialVM", true, ptr(false), true
		}, "virtualMachines.vTPM", "cannot be turned off"},
		{"encryption on standard", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.ConfidentialDisk = true }, "virtualMachines.confidentialComputeEncryption", "ConfidentialVM"},

		{"hibernate, pooled", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.Hibernate = true }, "virtualMachines.hibernate", "Personal"},
		{"hibernate, size", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.Hibernate, f.Personal, f.Size.Hibernation = true, true, false
		}, "virtualMachines.hibernate", "cannot hibernate"},
		{"hibernate, set", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.Hibernate, f.Personal = true, true
			a.Machines.Availability, a.Machines.AvailabilitySet, f.Set = "AvailabilitySet", "as1", &SetFacts{Location: "eastus"}
		}, "virtualMachines.hibernate", "availability set"},
		{"hibernate, small disk", func(a *AddSessionHosts, f *RunFacts) {
			a.Machines.Hibernate, f.Personal, a.Machines.DiskGB = true, true, 11
		}, "virtualMachines.osDiskSizeGB", "at least 12 GB"},
		{"ultra disk", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.DiskType = "UltraSSD_LRS" }, "virtualMachines.osDiskType", "Ultra"},
		{"disk type", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.DiskType = "Floppy" }, "virtualMachines.osDiskType", "Floppy"},
		{"premium on a plain size", func(_ *AddSessionHosts, f *RunFacts) { f.Size.Premium = false }, "virtualMachines.osDiskType", "premium"},
		{"small disk", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.DiskGB = 3 }, "virtualMachines.osDiskSizeGB", "at least 4 GB"},
		{"diagnostics", func(a *AddSessionHosts, _ *RunFacts) { a.Machines.BootDiagnostics = "Custom" }, "virtualMachines.bootDiagnosticsStorageUri", "address"},

		{"no network", func(_ *AddSessionHosts, f *RunFacts) { f.Network = nil }, "network.virtualNetwork", "does not exist"},
		{"addresses", func(_ *AddSessionHosts, f *RunFacts) { f.Network.FreeAddresses = 1 }, "network.subnet", "1 free addresses"},
		{"security group", func(a *AddSessionHosts, _ *RunFacts) { a.Network.SecurityGroup = "Advanced" }, "network.networkSecurityGroupId", "Choose"},
		{"security group gone", func(a *AddSessionHosts, _ *RunFacts) {
			a.Network.SecurityGroup, a.Network.SecurityID = "Advanced", "/x"
		}, "network.networkSecurityGroupId", "does not exist"},

		{"directory", func(a *AddSessionHosts, _ *RunFacts) { a.Directory.Directory = "NIS" }, "domainToJoin.directory", "NIS"},
		{"other provider", func(_ *AddSessionHosts, f *RunFacts) { f.Identities = []string{"ad:example.org"} }, "domainToJoin.directory", "same directory"},
		{"join without directory", func(a *AddSessionHosts, _ *RunFacts) { a.Directory.OU = "OU=x,DC=y" }, "domainToJoin.directory", "ActiveDirectory"},
		{"Intune", func(a *AddSessionHosts, _ *RunFacts) {
			a.Directory.Directory, a.Directory.Intune = "MicrosoftEntraID", true
		}, "domainToJoin.intune", "Intune"},
		{"UPN", adRun(func(d *AddDirectory) { d.JoinUPN, d.Domain = `EXAMPLE\join`, "example.org" }), "domainToJoin.adDomainJoinUPN", "user principal name"},
		{"join password", adRun(func(d *AddDirectory) { d.JoinPassword = "" }), "domainToJoin.adDomainJoinPassword", "required"},
		{"join passwords differ", adRun(func(d *AddDirectory) { d.JoinConfirm = "y" }), "domainToJoin.adDomainJoinConfirmPassword", "differ"},
		{"domain", adRun(func(d *AddDirectory) { d.Domain = "EXAMPLE" }), "domainToJoin.domain", "DNS name"},
		{"OU", adRun(func(d *AddDirectory) { d.OU = "Desktops" }), "domainToJoin.organizationalUnitPath", "distinguished name"},

		{"admin", func(a *AddSessionHosts, _ *RunFacts) { a.Admin.User = "Administrator" }, "virtualMachineAdministratorAccount.username", "not allowed"},
		{"admin ends in a stop", func(a *AddSessionHosts, _ *RunFacts) { a.Admin.User = "joe." }, "virtualMachineAdministratorAccount.username", "full stop"},
		{"short password", func(a *AddSessionHosts, _ *RunFacts) { a.Admin.Password, a.Admin.Confirm = "Short-1", "" },
			"virtualMachineAdministratorAccount.password", "between 12"},
		{"plain password", func(a *AddSessionHosts, _ *RunFacts) { a.Admin.Password, a.Admin.Confirm = "alllowercaseletters", "" },
			"virtualMachineAdministratorAccount.password", "three of"},
		{"passwords differ", func(a *AddSessionHosts, _ *RunFacts) { a.Admin.Confirm = "Correct-Horse-8" },
			"virtualMachineAdministratorAccount.confirmPassword", "differ"},
		{"script over http", func(a *AddSessionHosts, _ *RunFacts) { a.Script.URL = "http://x/s.sh" }, "customConfiguration.scriptUrl", "https"},
		{"tag", func(a *AddSessionHosts, _ *RunFacts) { a.Tags = Tags{"a/b": "c"} }, "tags", "a/b"},

		{"HCI: custom location", hciRun(func(_ *AddMachines, f *RunFacts) { f.Custom = false }), "virtualMachines.customLocation", "does not exist"},
		{"HCI: processors", hciRun(func(m *AddMachines, _ *RunFacts) { m.CPUs = 0 }), "virtualMachines.virtualProcessorCount", "at least one"},
		{"HCI: memory", hciRun(func(m *AddMachines, _ *RunFacts) { m.MemoryMB = 0 }), "virtualMachines.memoryMB", "needs memory"},
		{"HCI: dynamic bounds", hciRun(func(m *AddMachines, _ *RunFacts) { m.MemoryType, m.MinimumMB, m.MaximumMB = "Dynamic", 8192, 8192 }),
			"virtualMachines.memoryMB", "minimum ≤ memory ≤ maximum"},
		{"HCI: static with bounds", hciRun(func(m *AddMachines, _ *RunFacts) { m.MaximumMB = 4096 }), "virtualMachines.memoryType", "Static"},
		{"HCI: capacity", hciRun(func(_ *AddMachines, f *RunFacts) { f.FreeCores = 3 }), "virtualMachines.numberOfVirtualMachines", "3 are free"},
		{"HCI: network elsewhere", hciRun(func(_ *AddMachines, f *RunFacts) { f.Network.Custom = "/x/other" }), "network.logicalNetwork", "other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, f := goodRun()
			if strings.HasPrefix(c.name, "HCI: ") {
				a, f = goodHCIRun()
			}
			c.change(&a, &f)
			faults, _ := a.Check(f)
			if len(faults) != 1 || faults[0].Target != c.target || !strings.Contains(faults[0].Message, c.word) {
				t.Errorf("want one fault of %s with %q; got %+v", c.target, c.word, faults)
			}
		})
	}
}

func adRun(change func(d *AddDirectory)) func(*AddSessionHosts, *RunFacts) {
	return func(a *AddSessionHosts, _ *RunFacts) {
		a.Directory = AddDirectory{Directory: "ActiveDirectory", JoinUPN: "join@example.org", JoinPassword: "x"}
		change(&a.Directory)
	}
}

func hciRun(change func(m *AddMachines, f *RunFacts)) func(*AddSessionHosts, *RunFacts) {
	return func(a *AddSessionHosts, f *RunFacts) { change(&a.Machines, f) }
}

func TestAllFaultsOfARunAreToldAtOnceWithoutItsPasswords(t *testing.T) {
	a := AddSessionHosts{Admin: AddAdmin{User: "root", Password: "hunter2"}, Directory: AddDirectory{Directory: "ActiveDirectory", JoinPassword: "swordfish"}}
	faults, _ := a.Check(RunFacts{})
	if len(faults) < 8 {
		t.Errorf("only %d faults: %+v", len(faults), faults)
	}
	for _, f := range faults {
		if strings.Contains(f.Message, "hunter2") || strings.Contains(f.Message, "swordfish") {
			t.Errorf("a fault repeats a password: %s", f.Message)
		}
	}
}

func TestOpeningInboundPortsTakesAConfirmationAndWarns(t *testing.T) {
	a, f := goodRun()
	a.Network.SecurityGroup, a.Network.InboundPorts = "Basic", []int{3389}
	faults, warnings := a.Check(f)
	if len(faults) != 1 || faults[0].Target != "network.publicInboundPorts" || len(warnings) != 1 {
		t.Errorf("unconfirmed: %+v %v", faults, warnings)
	}
	a.Confirmed.InboundPorts = true
	if faults, _ := a.Check(f); len(faults) > 0 {
		t.Errorf("confirmed: %+v", faults)
	}
}

func TestOtherImagesAndSizesInThePoolAreWarnedOf(t *testing.T) {
	a, f := goodRun()
	f.Images, f.Sizes = []string{"Deskyard:debian-11:desktop:1"}, []string{"Standard_D4s_v5"}
	faults, warnings := a.Check(f)
	if len(faults) > 0 || len(warnings) != 2 {
		t.Errorf("%+v %v", faults, warnings)
	}
}

func TestATenantWhoseIdIsNotKnownBeforehandIsTheSameProvider(t *testing.T) {
	a, f := goodRun()
	a.Directory.Directory, f.Identities = "MicrosoftEntraID", []string{"entra:1234"}
	if faults, _ := a.Check(f); len(faults) > 0 {
		t.Errorf("%+v", faults)
	}
	f.Identities, f.MixedIdentity = []string{"ad:example.org"}, true
	if faults, _ := a.Check(f); len(faults) > 0 {
		t.Errorf("with the pool's tag: %+v", faults)
	}
}

func TestNamesAreSequential(t *testing.T) {
	a, _ := goodRun()
	if got := a.Names(9); !slices.Equal(got, []string{"hp01-sh-9", "hp01-sh-10"}) {
		t.Errorf("got %v", got)
	}
}
