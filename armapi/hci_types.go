package armapi

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const (
	hybridNamespace   = "Microsoft.HybridCompute"
	hciNamespace      = "Microsoft.AzureStackHCI"
	extendedNamespace = "Microsoft.ExtendedLocation"
	identityNamespace = "Microsoft.ManagedIdentity"
)

// Versions of the types on the owner's own locations; every well-formed one is taken.
var (
	hybridVersions   = []string{"2021-05-20", "2022-03-10", "2022-12-27", "2023-03-15-preview", "2023-10-03-preview", "2024-07-10", "2025-01-13"}
	hciVersions      = []string{"2023-07-01-preview", "2023-09-01-preview", "2024-01-01", "2024-05-01-preview", "2024-08-01-preview", "2025-04-01-preview", "2025-06-01-preview"}
	extendedVersions = []string{"2021-08-15", "2021-08-31-preview"}
	identityVersions = []string{"2015-08-31-preview", "2018-11-30", "2023-01-31", "2024-11-30"}
)

// hybridTypes are the rows of machines on the owner's own locations, and of what
// machines refer to there.
func (s *Server) hybridTypes() []ResourceType {
	rows := []ResourceType{
		s.hybridMachineType(), s.hybridExtensionType(), s.instanceType(), s.hciInterfaceType(), logicalNetworkType(s),
		hciImageType(s, "galleryImages"), hciImageType(s, "marketplaceGalleryImages"),
		{Namespace: hciNamespace, Path: "storageContainers", Tracked: true, Verbs: machineVerbs, New: func() Model { return new(deskyard.StorageContainer) }},
		{Namespace: extendedNamespace, Path: "customLocations", Tracked: true, Verbs: machineVerbs, New: func() Model { return new(deskyard.CustomLocation) }},
		{Namespace: identityNamespace, Path: "userAssignedIdentities", Tracked: true, Verbs: machineVerbs,
			Name: NameRule{Min: 3, Max: 128, Pattern: networkName}, New: func() Model { return new(deskyard.ManagedIdentity) }, BeforeWrite: s.beforeIdentity},
	}
	versions := map[string][]string{hybridNamespace: hybridVersions, hciNamespace: hciVersions, extendedNamespace: extendedVersions, identityNamespace: identityVersions}
	for i := range rows {
		row := &rows[i]
		row.Versions, row.AnyVersion, row.Sparse = versions[row.Namespace], true, true
		if row.Name.Max == 0 {
			row.Name = NameRule{Min: 1, Max: 80, Pattern: networkName}
		}
	}
	return rows
}

func (s *Server) hybridMachineType() ResourceType {
	return ResourceType{
		Namespace: hybridNamespace, Path: "machines", Tracked: true, UserIdentities: true, Verbs: machineVerbs,
		Name: NameRule{Min: 1, Max: 54, Pattern: networkName},
		New:  func() Model { return new(deskyard.HybridMachine) },
		BeforeWrite: func(_ context.Context, w *Write) error {
			if m := w.Model.(*deskyard.HybridMachine); m.VMID == "" {
				m.VMID = newID()
				m.VMUUID = m.VMID
			}
			return nil
		},
		BeforeDelete: s.hybridMachineIdle, Render: s.renderHybridMachines,
	}
}

// hybridMachineIdle refuses to delete a machine whose instance is still real.
func (s *Server) hybridMachineIdle(ctx context.Context, w *Write, _ bool) error {
	instance := instanceOf(w.Old.ID)
	_, err := w.Tx.Resource(ctx, instance)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return arm.Errorf(arm.Conflicting, "VirtualMachineInstanceExists",
		"The machine '%s' has a virtual machine instance. Delete '%s' first.", w.Old.ID.Name(), instance)
}

// instanceOf is the id of a machine's virtual machine instance.
func instanceOf(machine arm.ResourceID) arm.ResourceID {
	id := machine
	id.Segments = append(append([]arm.Segment(nil), machine.Segments...), arm.Segment{Namespace: hciNamespace, Collection: "virtualMachineInstances", Name: "default"})
	return id
}

// renderHybridMachines shows whether the boot loader in the machine has its link.
func (s *Server) renderHybridMachines(ctx context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	live := map[string]deskyard.MachineLive{}
	if s.opt.Machines != nil && len(rows) > 0 {
		instances := make([]arm.ResourceID, len(rows))
		for i, r := range rows {
			instances[i] = instanceOf(r.ID)
		}
		live = s.opt.Machines.Live(ctx, instances...)
	}
	return renderEach(rows, func(r deskyard.Resource, m *deskyard.HybridMachine) any {
		m.Status = "Disconnected"
		if live[instanceOf(r.ID).Key()].Connected {
			m.Status = "Connected"
		}
		return s.rowOf(r.ID).RenderBody(r, m)
	})
}

func (s *Server) hybridExtensionType() ResourceType {
	row := s.extensionType("machines/extensions")
	row.Namespace = hybridNamespace
	return row
}

// instanceType is the extension resource that makes a machine of HybridCompute real.
func (s *Server) instanceType() ResourceType {
	const at = hciNamespace + "/virtualMachineInstances"
	power := func(path, verb string) Action {
		return Action{Path: path, Permission: at + "/" + path + "/action", Handle: s.powerAction(verb)}
	}
	return ResourceType{
		Namespace: hciNamespace, Path: "virtualMachineInstances", Level: Extension, Verbs: childVerbs, Name: NameRule{Min: 7, Max: 7, Pattern: networkName},
		New:         func() Model { return new(deskyard.HCIInstance) },
		BeforeWrite: s.beforeInstance, Submit: s.submitMachine, AfterCommit: s.wakeMachine, Linked: linkedOf, Render: s.renderInstances,
		Actions: []Action{
			power("start", deskyard.JobStart), power("restart", deskyard.JobRestart), power("stop", deskyard.JobPowerOff),
		},
	}
}

func (s *Server) beforeInstance(ctx context.Context, w *Write) error {
	m := w.Model.(*deskyard.HCIInstance)
	if s.opt.Machines == nil {
		return errNoHypervisor(w.New.ID)
	}
	if !strings.EqualFold(w.New.ID.Name(), "default") {
		return arm.Errorf(arm.Invalid, "InvalidResourceName", "A machine has one virtual machine instance, named 'default'.").WithTarget("name")
	}
	parent := w.New.ID.Parent()
	if !strings.EqualFold(parent.Type(), deskyard.TypeHybridMachine) {
		return arm.Errorf(arm.Invalid, "InvalidResourceType", "A virtual machine instance stands below a machine of Microsoft.HybridCompute, not at '%s'.", parent)
	}
	machine, err := w.Tx.Resource(ctx, parent)
	if err != nil {
		return err
	}
	h, err := readModel[deskyard.HybridMachine](machine)
	if err != nil {
		return err
	}
	m.VMID = h.VMID
	if m.OS != nil && m.OS.ComputerName == "" {
		m.OS.ComputerName = parent.Name()
	}
	if e := w.New.Envelope.ExtendedLocation; e == nil || e.Name == "" {
		if w.Old == nil {
			return arm.Errorf(arm.Invalid, "InvalidRequestContent", "The extendedLocation is required: {\"type\":\"CustomLocation\",\"name\":\"<id of a custom location>\"}.").WithTarget("extendedLocation")
		}
		w.New.Envelope.ExtendedLocation = w.Old.Envelope.ExtendedLocation
	}
	if err := s.checkNICs(ctx, w, m.Network, hciNamespace+"/networkInterfaces"); err != nil {
		return err
	}
	return s.admit(ctx, w)
}

// instanceProperties is an instance's properties on the wire.
type instanceProperties struct {
	*deskyard.HCIInstance
	View   *hciView   `json:"instanceView,omitempty"`
	Status *hciStatus `json:"status,omitempty"`
}

type hciView struct {
	Agent agentView `json:"vmAgent"`
}

type hciStatus struct {
	Code    string `json:"errorCode,omitempty"`
	Message string `json:"errorMessage,omitempty"`
	Power   string `json:"powerState"`
}

func (s *Server) renderInstances(ctx context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	live := map[string]deskyard.MachineLive{}
	if s.opt.Machines != nil && len(rows) > 0 {
		live = s.opt.Machines.Live(ctx, idsOf(rows)...)
	}
	return renderEach(rows, func(r deskyard.Resource, m *deskyard.HCIInstance) any {
		now, known := live[r.ID.Key()]
		p := instanceProperties{HCIInstance: m, Status: &hciStatus{Power: "Unknown"}}
		if known {
			at := &arm.Time{Time: now.At}
			p.View = &hciView{Agent: agentView{Version: now.Agent, Statuses: []deskyard.InstanceStatus{agentStatus(now, at)}}}
			p.Status.Power = map[string]string{"running": "Running", "stopped": "Stopped", "deallocated": "Deallocated", "starting": "Running",
				"stopping": "Stopping", "deallocating": "Deallocating", "hibernated": "Deallocated"}[now.Power]
			if p.Status.Power == "" {
				p.Status.Power = "Unknown"
			}
		}
		if m.Fault != nil {
			p.Status.Code, p.Status.Message = m.Fault.Code, m.Fault.Message
		}
		return s.rowOf(r.ID).RenderBody(r, p)
	})
}

func (s *Server) hciInterfaceType() ResourceType {
	return ResourceType{
		Namespace: hciNamespace, Path: "networkInterfaces", Tracked: true, Verbs: machineVerbs,
		New:         func() Model { return new(deskyard.HCIInterface) },
		BeforeWrite: s.beforeHCIInterface, BeforeDelete: s.unusedBy(deskyard.RelationNIC, "NicInUse", "virtual machine instance"),
		AfterCommit: s.nicChanged, Linked: linkedOf, Render: s.renderHCIInterfaces,
	}
}

// beforeHCIInterface gives a new interface its MAC and, in a network with static
// addresses, an address of its pools.
func (s *Server) beforeHCIInterface(ctx context.Context, w *Write) error {
	n := w.Model.(*deskyard.HCIInterface)
	if n.MAC == "" {
		mac, err := newMAC()
		if err != nil {
			return err
		}
		n.MAC = mac
	}
	if n.SecurityGroup != nil {
		if _, err := s.sameRegion(ctx, w, "properties.networkSecurityGroup.id", n.SecurityGroup.ID); err != nil {
			return err
		}
	}
	for i := range n.Configurations {
		p := &n.Configurations[i].Properties
		at := fmt.Sprintf("properties.ipConfigurations[%d].properties", i)
		r, network, err := referred[deskyard.LogicalNetwork](ctx, w.Tx, at+".subnet.id", p.Subnet.ID, "InvalidResourceReference")
		if err != nil {
			return err
		}
		if p.Address == "" && !network.Static() {
			continue // the network's own DHCP server gives one
		}
		prefix, err := netip.ParsePrefix(network.Subnets[0].Properties.AddressPrefix)
		if err != nil && p.Address != "" {
			return arm.Errorf(arm.Invalid, "InvalidParameter", "The logical network '%s' has no address prefix to take %s from.", r.ID.Name(), p.Address).WithTarget(at + ".privateIPAddress")
		}
		p.Automatic = p.Automatic || p.Address == ""
		if p.Address, err = lease(ctx, w, r.ID, p.Address, at+".privateIPAddress", network.Free(), prefix.Contains); err != nil {
			return err
		}
		p.Prefix = fmt.Sprint(prefix.Bits())
	}
	return nil
}

func (s *Server) renderHCIInterfaces(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	users, err := v.Reader.Referrers(ctx, deskyard.RelationNIC, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	return renderEach(rows, func(r deskyard.Resource, n *deskyard.HCIInterface) any {
		n.VirtualMachine = nil
		if by := users[r.ID.Key()]; len(by) > 0 {
			n.VirtualMachine = &deskyard.SubResource{ID: s.wireIDOf(by[0])}
		}
		return s.rowOf(r.ID).RenderBody(r, n)
	})
}

func logicalNetworkType(s *Server) ResourceType {
	return ResourceType{
		Namespace: hciNamespace, Path: "logicalNetworks", Tracked: true, Verbs: machineVerbs,
		New:          func() Model { return new(deskyard.LogicalNetwork) },
		BeforeDelete: s.unusedBy(deskyard.RelationSubnet, "LogicalNetworkInUse", "network interface"),
	}
}

func hciImageType(s *Server, path string) ResourceType {
	return ResourceType{
		Namespace: hciNamespace, Path: path, Tracked: true, Verbs: machineVerbs,
		New:          func() Model { return new(deskyard.HCIGalleryImage) },
		BeforeDelete: s.unusedBy(deskyard.RelationImage, "ImageInUse", "virtual machine instance"),
	}
}

// beforeIdentity gives a new identity who it is.
func (s *Server) beforeIdentity(_ context.Context, w *Write) error {
	i := w.Model.(*deskyard.ManagedIdentity)
	i.TenantID = s.opt.Tenant.ID
	if i.PrincipalID == "" {
		i.PrincipalID, i.ClientID = newID(), newID()
	}
	return nil
}
