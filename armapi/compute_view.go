package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// vmProperties is a virtual machine's properties on the wire.
type vmProperties struct {
	*deskyard.VirtualMachine
	InstanceView *instanceView `json:"instanceView,omitempty"`
}

func (s *Server) renderVMs(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	row := s.routes.types[strings.ToLower(deskyard.TypeVirtualMachine)]
	views := map[string]*instanceView{}
	if strings.Contains(v.Expand, "instanceview") {
		var err error
		if views, err = s.instanceViews(ctx, v.Reader, rows); err != nil {
			return nil, err
		}
	}
	return renderEach(rows, func(r deskyard.Resource, m *deskyard.VirtualMachine) any {
		return row.RenderBody(r, vmProperties{VirtualMachine: m, InstanceView: views[r.ID.Key()]})
	})
}

// instanceView is what a machine does at this moment, in Azure's words.
type instanceView struct {
	ComputerName    string                         `json:"computerName,omitempty"`
	OSName          string                         `json:"osName,omitempty"`
	Generation      string                         `json:"hyperVGeneration,omitempty"`
	AssignedHost    string                         `json:"assignedHost,omitempty"`
	Agent           agentView                      `json:"vmAgent"`
	Disks           []diskView                     `json:"disks,omitempty"`
	Extensions      []deskyard.VMExtensionInstance `json:"extensions,omitempty"`
	BootDiagnostics struct{}                       `json:"bootDiagnostics"`
	Statuses        []deskyard.InstanceStatus      `json:"statuses"`
}

type agentView struct {
	Version  string                    `json:"vmAgentVersion"`
	Statuses []deskyard.InstanceStatus `json:"statuses"`
}

type diskView struct {
	Name     string                    `json:"name"`
	Statuses []deskyard.InstanceStatus `json:"statuses"`
}

// machineState is what instance views read of a machine's row, of either provider.
type machineState struct {
	deskyard.Provisioning
	OS struct {
		ComputerName string `json:"computerName"`
	} `json:"osProfile"`
	Storage struct {
		OSDisk struct {
			Name   string `json:"name"`
			OSType string `json:"osType"`
		} `json:"osDisk"`
	} `json:"storageProfile"`
}

// instanceViews looks at a page of machines at once, by key.
func (s *Server) instanceViews(ctx context.Context, reader deskyard.Reader, rows []deskyard.Resource) (map[string]*instanceView, error) {
	live := map[string]deskyard.MachineLive{}
	if s.opt.Machines != nil && len(rows) > 0 {
		live = s.opt.Machines.Live(ctx, idsOf(rows)...)
	}
	extensions, err := childrenOf(ctx, reader, rows, computeNamespace+"/virtualMachines/extensions")
	if err != nil {
		return nil, err
	}
	views := make(map[string]*instanceView, len(rows))
	for _, r := range rows {
		var m machineState
		if err := json.Unmarshal(propertiesOf(r), &m); err != nil {
			return nil, fmt.Errorf("read stored properties of %s: %w", r.ID, err)
		}
		now, known := live[r.ID.Key()]
		if !known {
			now = deskyard.MachineLive{Power: "unknown", At: s.now()}
		}
		view := makeView(r, m, now)
		for _, e := range extensions[r.ID.Key()] {
			x, err := readModel[deskyard.VMExtension](e)
			if err != nil {
				return nil, err
			}
			view.Extensions = append(view.Extensions, extensionView(e, x))
		}
		views[r.ID.Key()] = view
	}
	return views, nil
}

func makeView(r deskyard.Resource, m machineState, now deskyard.MachineLive) *instanceView {
	at := &arm.Time{Time: now.At}
	v := &instanceView{ComputerName: m.OS.ComputerName, OSName: m.Storage.OSDisk.OSType, Generation: "V2", AssignedHost: now.Host}
	v.Agent = agentView{Version: now.Agent, Statuses: []deskyard.InstanceStatus{agentStatus(now, at)}}
	if v.Agent.Version == "" {
		v.Agent.Version = "Unknown"
	}
	state := m.ProvisioningState
	v.Statuses = append(v.Statuses, provisioningStatus(m.Provisioning, &arm.Time{Time: r.Envelope.SystemData.LastModifiedAt}))
	v.Statuses = append(v.Statuses, powerStatuses(now)...)
	if name := m.Storage.OSDisk.Name; name != "" && state != deskyard.StateCreating {
		v.Disks = []diskView{{Name: name, Statuses: []deskyard.InstanceStatus{{Code: "ProvisioningState/succeeded", Level: "Info", DisplayStatus: "Provisioning succeeded", Time: at}}}}
	}
	return v
}

// provisioningStatus is the first status of every instance view.
func provisioningStatus(p deskyard.Provisioning, at *arm.Time) deskyard.InstanceStatus {
	st := deskyard.InstanceStatus{Level: "Info", Message: p.StatusReason, Time: at}
	switch p.ProvisioningState {
	case deskyard.StateFailed:
		code := "Unknown"
		if p.Fault != nil {
			code, st.Message = p.Fault.Code, p.Fault.Message
		}
		st.Code, st.Level, st.DisplayStatus = "ProvisioningState/failed/"+code, "Error", "Provisioning failed"
	case deskyard.StateSucceeded, "":
		st.Code, st.DisplayStatus = "ProvisioningState/succeeded", "Provisioning succeeded"
	default:
		st.Code, st.DisplayStatus = "ProvisioningState/"+strings.ToLower(p.ProvisioningState), p.ProvisioningState
	}
	return st
}

// powerWords are Azure's for what a machine does.
var powerWords = map[string]string{
	"running": "VM running", "stopped": "VM stopped", "deallocated": "VM deallocated", "starting": "VM starting",
	"stopping": "VM stopping", "deallocating": "VM deallocating",
}

func powerStatuses(now deskyard.MachineLive) []deskyard.InstanceStatus {
	power := now.Power
	hibernated := power == "hibernated"
	if hibernated {
		power = "deallocated"
	}
	words, known := powerWords[power]
	if !known {
		power, words = "unknown", "VM state unknown"
	}
	st := deskyard.InstanceStatus{Code: "PowerState/" + power, Level: "Info", DisplayStatus: words, Message: now.Problem}
	if now.Problem != "" {
		st.Level = "Warning"
	}
	out := []deskyard.InstanceStatus{st}
	if hibernated {
		out = append(out, deskyard.InstanceStatus{Code: "HibernationState/Hibernated", Level: "Info", DisplayStatus: "VM hibernated"})
	}
	return out
}

func agentStatus(now deskyard.MachineLive, at *arm.Time) deskyard.InstanceStatus {
	if now.Connected {
		return deskyard.InstanceStatus{Code: "ProvisioningState/succeeded", Level: "Info", DisplayStatus: "Ready", Message: "Guest Agent is running", Time: at}
	}
	return deskyard.InstanceStatus{Code: "ProvisioningState/Unavailable", Level: "Warning", DisplayStatus: "Not Ready",
		Message: "The boot loader inside the machine has no link to the service.", Time: at}
}

// extensionView is what came of an extension: what its runner wrote, or how far it is.
func extensionView(r deskyard.Resource, x *deskyard.VMExtension) deskyard.VMExtensionInstance {
	v := deskyard.VMExtensionInstance{}
	if x.InstanceView != nil {
		v = *x.InstanceView
	}
	v.Name, v.Type, v.TypeHandlerVersion = r.ID.Name(), x.Publisher+"."+x.Type, x.TypeHandlerVersion
	if len(v.Statuses) == 0 {
		v.Statuses = []deskyard.InstanceStatus{provisioningStatus(x.Provisioning, &arm.Time{Time: r.Envelope.SystemData.LastModifiedAt})}
	}
	return v
}

// renderExtensions shows the instance view where it was asked for, as Azure does; of
// HybridCompute's it is always there.
func (s *Server) renderExtensions(_ context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	return renderEach(rows, func(r deskyard.Resource, x *deskyard.VMExtension) any {
		row := s.rowOf(r.ID)
		hybrid := strings.EqualFold(row.Namespace, hybridNamespace)
		if view := extensionView(r, x); strings.Contains(v.Expand, "instanceview") || hybrid {
			x.InstanceView = &view
		} else {
			x.InstanceView = nil
		}
		return row.RenderBody(r, x)
	})
}

// instanceViewOf answers …/instanceView.
func (s *Server) instanceViewOf(ctx context.Context, req *Request) (Response, error) {
	r, err := req.Load(ctx, s.store)
	if err != nil {
		return Response{}, err
	}
	views, err := s.instanceViews(ctx, s.store, []deskyard.Resource{r})
	if err != nil {
		return Response{}, err
	}
	return Response{Body: views[r.ID.Key()]}, nil
}

// availabilitySetProperties is an availability set's properties on the wire.
type availabilitySetProperties struct {
	*deskyard.AvailabilitySet
	Machines []deskyard.SubResource `json:"virtualMachines"`
}

func (s *Server) renderAvailabilitySets(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	users, err := v.Reader.Referrers(ctx, deskyard.RelationAvailabilitySet, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	return renderEach(rows, func(r deskyard.Resource, a *deskyard.AvailabilitySet) any {
		row := s.rowOf(r.ID)
		b := row.RenderBody(r, availabilitySetProperties{AvailabilitySet: a, Machines: s.subResources(users[r.ID.Key()])})
		if len(b.SKU) == 0 {
			b.SKU = json.RawMessage(`{"name":"Classic"}`)
		}
		return b
	})
}

func (s *Server) subResources(ids []arm.ResourceID) []deskyard.SubResource {
	out := make([]deskyard.SubResource, 0, len(ids))
	for _, id := range slices.SortedFunc(slices.Values(ids), func(a, b arm.ResourceID) int { return strings.Compare(a.Key(), b.Key()) }) {
		out = append(out, deskyard.SubResource{ID: s.wireIDOf(id)})
	}
	return out
}

// listMachinesOfLocation lists the machines in one location.
func (s *Server) listMachinesOfLocation(ctx context.Context, req *Request) (Response, error) {
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	location := canonicalLocation(req.Vars["location"])
	keep := func(_ context.Context, r deskyard.Resource) (bool, error) {
		return canonicalLocation(r.Envelope.Location) == location, nil
	}
	rows, next, err := s.collect(ctx, deskyard.ResourceQuery{Scope: req.ID, Type: deskyard.TypeVirtualMachine}, p, keep)
	if err != nil {
		return Response{}, err
	}
	items, err := s.renderVMs(ctx, View{Reader: s.store, Fleet: s.fleet, Now: s.now(), Version: req.Version, List: true, Expand: strings.ToLower(req.Query("$expand"))}, rows)
	if err != nil {
		return Response{}, err
	}
	return req.ListResponse(items, next), nil
}
