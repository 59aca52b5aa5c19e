package deskyard

import "time"

// AddSessionHosts are the parameters of a run that adds session hosts to a pool: one
// field for each parameter of the portal's wizard, under the tab that it stands on
// (article "Add session hosts to a host pool"). It is the body of the actions
// addSessionHosts and validateSessionHosts of a host pool.
type AddSessionHosts struct {
	Basics     AddBasics    `json:"basics"`
	Machines   AddMachines  `json:"virtualMachines"`
	Network    AddNetwork   `json:"network"`
	Directory  AddDirectory `json:"domainToJoin"`
	Admin      AddAdmin     `json:"virtualMachineAdministratorAccount"`
	Script     AddScript    `json:"customConfiguration"`
	Tags       Tags         `json:"tags,omitempty"`
	Deployment string       `json:"deploymentName,omitempty"` // "": one is made up
	Key        AddKey       `json:"registrationKey"`
	Confirmed  AddConfirmed `json:"confirm"`
}

// Tags are names and values for everything that a run makes.
type Tags map[string]string

// AddBasics is the tab Basics.
type AddBasics struct {
	ResourceGroup string `json:"resourceGroup,omitempty"` // "": the pool's
	NamePrefix    string `json:"namePrefix"`              // at most 11 characters; hosts are PREFIX-N
	Kind          string `json:"virtualMachineType"`      // "AzureVirtualMachine" (when empty) or "AzureStackHCIVirtualMachine"
}

// AddMachines is the tab Virtual machines, of both kinds.
type AddMachines struct {
	Count int `json:"numberOfVirtualMachines"` // 1 to 400

	Location           string         `json:"location,omitempty"`           // "": the network's
	Availability       string         `json:"availabilityOption,omitempty"` // None | AvailabilityZone | AvailabilitySet
	Zones              []string       `json:"availabilityZones,omitempty"`
	AvailabilitySet    string         `json:"availabilitySetName,omitempty"`
	SecurityType       string         `json:"securityType,omitempty"` // Standard | TrustedLaunch | ConfidentialVM
	SecureBoot         *bool          `json:"secureBoot,omitempty"`   // nil: what the security type preselects
	VTPM               *bool          `json:"vTPM,omitempty"`
	IntegrityMonitor   *bool          `json:"integrityMonitoring,omitempty"`
	Image              ImageReference `json:"imageReference"`
	Size               string         `json:"size,omitempty"`
	Hibernate          bool           `json:"hibernate,omitempty"`
	DiskType           string         `json:"osDiskType,omitempty"`   // Standard_LRS | StandardSSD_LRS | Premium_LRS | …_ZRS
	DiskGB             int            `json:"osDiskSizeGB,omitempty"` // 0: the image's
	ConfidentialDisk   bool           `json:"confidentialComputeEncryption,omitempty"`
	BootDiagnostics    string         `json:"bootDiagnostics,omitempty"` // Managed (when empty) | Disabled | Custom
	DiagnosticsAccount string         `json:"bootDiagnosticsStorageUri,omitempty"`

	// Azure Stack HCI alone.
	CustomLocation string `json:"customLocation,omitempty"` // id or name
	CPUs           int    `json:"virtualProcessorCount,omitempty"`
	MemoryType     string `json:"memoryType,omitempty"` // Static | Dynamic
	MemoryMB       int    `json:"memoryMB,omitempty"`
	MinimumMB      int    `json:"minimumMemoryMB,omitempty"`
	MaximumMB      int    `json:"maximumMemoryMB,omitempty"`
	BufferPercent  int    `json:"targetMemoryBuffer,omitempty"`
}

// AddNetwork is the tab's part about the network.
type AddNetwork struct {
	VirtualNetwork string `json:"virtualNetwork,omitempty"` // id, or name in the run's group
	Subnet         string `json:"subnet,omitempty"`
	SecurityGroup  string `json:"networkSecurityGroup,omitempty"` // None (when empty) | Basic | Advanced
	SecurityID     string `json:"networkSecurityGroupId,omitempty"`
	InboundPorts   []int  `json:"publicInboundPorts,omitempty"`
	LogicalNetwork string `json:"logicalNetwork,omitempty"` // Azure Stack HCI: id or name
}

// AddDirectory is the tab's part about the directory to join.
type AddDirectory struct {
	Directory    string `json:"directory,omitempty"` // "" (none: users of the service's own directory) | MicrosoftEntraID | ActiveDirectory
	Intune       bool   `json:"intune,omitempty"`
	JoinUPN      string `json:"adDomainJoinUPN,omitempty"`
	JoinPassword string `json:"adDomainJoinPassword,omitempty"`
	JoinConfirm  string `json:"adDomainJoinConfirmPassword,omitempty"` // compared where it is given
	Domain       string `json:"domain,omitempty"`                      // "": the UPN's suffix
	OU           string `json:"organizationalUnitPath,omitempty"`
}

// AddAdmin is the tab's part about the local administrator.
type AddAdmin struct {
	User     string `json:"username"`
	Password string `json:"password"`
	Confirm  string `json:"confirmPassword,omitempty"` // compared where it is given
}

// AddScript is the tab's part about a script of one's own.
type AddScript struct {
	URL string `json:"scriptUrl,omitempty"`
}

// AddKey says which registration key the hosts join with.
type AddKey struct {
	Token string `json:"token,omitempty"` // "": one is made for this run alone, for as many hosts under this prefix
}

// AddConfirmed is what the portal has a person confirm.
type AddConfirmed struct {
	InboundPorts bool `json:"publicInboundPorts,omitempty"` // yes, open them to whatever reaches the network
}

// AddedSessionHosts answers a run that was started or checked.
type AddedSessionHosts struct {
	Deployment string   `json:"deploymentId,omitempty"` // id to follow; "" from validateSessionHosts
	Names      []string `json:"sessionHostNames"`
	Warnings   []string `json:"warnings"`
	Requires   RunNeeds `json:"requires"`
}

// HostProgress is how far one host of a run is.
type HostProgress struct {
	Name    string  `json:"name"`
	Stage   string  `json:"stage"` // Queued | Network | Machine | Starting | Booting | Agent | Joining | Available | Failed | Canceled
	Percent float64 `json:"percent"`
	Detail  string  `json:"detail,omitempty"` // what happens now, or why it failed
	Next    string  `json:"next,omitempty"`   // command to go on with, when Failed
	Seconds float64 `json:"seconds"`          // since the run began, until now or its end
	VM      string  `json:"virtualMachineId,omitempty"`
	Host    string  `json:"sessionHostId,omitempty"`
}

// SessionHostRun is a run as the list of a pool's runs shows it.
type SessionHostRun struct {
	Name       string     `json:"name"` // its deployment's
	Deployment string     `json:"deploymentId"`
	State      string     `json:"state"` // as in RunProgress
	Names      []string   `json:"sessionHostNames"`
	Began      time.Time  `json:"began"`
	Ended      *time.Time `json:"ended,omitempty"` // nil while it is Running
}

// RunProgress is a run as sessionHostRuns/{deployment} shows it.
type RunProgress struct {
	Deployment string         `json:"deploymentId"`
	State      string         `json:"state"` // Running | Succeeded | Failed | Canceled
	Hosts      []HostProgress `json:"hosts"`
	Summary    string         `json:"summary"` // one sentence
}
