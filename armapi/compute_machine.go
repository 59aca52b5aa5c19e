package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// handler serves an action or a door.
type handler = func(ctx context.Context, req *Request) (Response, error)

// beforeVM gives a new machine its id and names, looks at what it refers to and asks
// whoever makes machines whether it can be made.
func (s *Server) beforeVM(ctx context.Context, w *Write) error {
	m := w.Model.(*deskyard.VirtualMachine)
	if s.opt.Machines == nil {
		return errNoHypervisor(w.New.ID)
	}
	if w.Old == nil {
		m.VMID, m.TimeCreated = newID(), &arm.Time{Time: w.Now}
	}
	if m.OSProfile != nil && m.OSProfile.ComputerName == "" {
		m.OSProfile.ComputerName = w.New.ID.Name()
	}
	if disk := &m.StorageProfile.OSDisk; disk.Name == "" {
		disk.Name = fmt.Sprintf("%s_OsDisk_1_%s", w.New.ID.Name(), strings.ReplaceAll(newID(), "-", ""))
	}
	if err := s.checkZones(w); err != nil {
		return err
	}
	if err := s.checkNICs(ctx, w, m.NetworkProfile, "Microsoft.Network/networkInterfaces"); err != nil {
		return err
	}
	if a := m.AvailabilitySet; a != nil {
		if _, err := s.sameRegion(ctx, w, "properties.availabilitySet.id", a.ID); err != nil {
			return err
		}
		if len(w.New.Envelope.Zones) > 0 {
			return arm.Errorf(arm.Invalid, "BadRequest", "Virtual Machine cannot be created because both Availability Zone and Availability Set were specified. Deploying an Availability Set to an Availability Zone isn't supported.").WithTarget("zones")
		}
	}
	if err := s.fillIdentity(ctx, w); err != nil {
		return err
	}
	return s.admit(ctx, w)
}

// admit asks whoever makes machines, who may fill in properties of the row.
func (s *Server) admit(ctx context.Context, w *Write) error {
	properties, err := json.Marshal(w.Model)
	if err != nil {
		return fmt.Errorf("encode properties of %s: %w", w.New.ID, err)
	}
	w.New.Properties = properties
	if err := s.opt.Machines.Admit(ctx, w.Tx, w.New, w.Old); err != nil {
		return err
	}
	model := s.rowOf(w.New.ID).New()
	if err := json.Unmarshal(w.New.Properties, model); err != nil {
		return fmt.Errorf("read the admitted properties of %s: %w", w.New.ID, err)
	}
	w.Model = model
	return nil
}

// checkZones holds a machine to one zone, which it keeps.
func (s *Server) checkZones(w *Write) error {
	zones := w.New.Envelope.Zones
	if w.Old != nil {
		old := w.Old.Envelope.Zones
		if len(zones) == 0 {
			w.New.Envelope.Zones = old
		} else if strings.Join(old, ",") != strings.Join(zones, ",") {
			return arm.Errorf(arm.Conflicting, "ResourceAvailabilityZonesCannotBeModified",
				"The zone(s) '%s' for resource '%s' cannot be modified.", strings.Join(zones, ","), w.New.ID).WithTarget("zones")
		}
		return nil
	}
	if len(zones) > 1 {
		return arm.Errorf(arm.Invalid, "InvalidParameter", "A virtual machine is in one zone; %d were given.", len(zones)).WithTarget("zones")
	}
	for _, z := range zones {
		if z != "1" && z != "2" && z != "3" {
			return arm.Errorf(arm.Invalid, "InvalidAvailabilityZone", "The zone '%s' is not valid. Zones are '1', '2' and '3'.", clip(z)).WithTarget("zones")
		}
	}
	return nil
}

// checkNICs looks at a machine's network interfaces: they exist in its location and no
// other machine has them.
func (s *Server) checkNICs(ctx context.Context, w *Write, n deskyard.VMNetwork, typ string) error {
	for i, nic := range n.Interfaces {
		at := fmt.Sprintf("properties.networkProfile.networkInterfaces[%d].id", i)
		r, err := s.sameRegion(ctx, w, at, nic.ID)
		if err != nil {
			return err
		}
		users, err := w.Tx.Referrers(ctx, deskyard.RelationNIC, r.ID)
		if err != nil {
			return err
		}
		for _, u := range users[r.ID.Key()] {
			if !u.Equal(w.New.ID) {
				return arm.Errorf(arm.Invalid, "NicInUse", "Network Interface %s is used by existing resource %s. In order to delete the network interface, it must be dissociated from the resource.", r.ID, u).WithTarget(at)
			}
		}
	}
	return nil
}

// sameRegion reads what a body refers to; it exists and is in the same location.
func (s *Server) sameRegion(ctx context.Context, w *Write, at, text string) (deskyard.Resource, error) {
	id, err := arm.ParseID(text)
	if err != nil {
		return deskyard.Resource{}, arm.Errorf(arm.Invalid, "InvalidResourceReference", "The value '%s' is not a resource id.", clip(text)).WithTarget(at)
	}
	r, err := w.Tx.Resource(ctx, id)
	if arm.IsMissing(err) {
		return r, arm.Errorf(arm.Invalid, "InvalidResourceReference",
			"Resource %s referenced by resource %s was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.", id, w.New.ID).WithTarget(at)
	}
	if err != nil {
		return r, err
	}
	if mine := w.New.Envelope.Location; mine != "" && r.Envelope.Location != "" && canonicalLocation(mine) != canonicalLocation(r.Envelope.Location) {
		return r, arm.Errorf(arm.Invalid, "InvalidResourceReference",
			"Resource %s referenced by resource %s is in '%s', not in '%s'. Both must be in the same region.", id, w.New.ID, r.Envelope.Location, mine).WithTarget(at)
	}
	return r, nil
}

// fillIdentity shows who the machine's user-assigned identities are; they must exist.
func (s *Server) fillIdentity(ctx context.Context, w *Write) error {
	i := w.New.Envelope.Identity
	if i == nil {
		return nil
	}
	filled := make(map[string]arm.UserIdentity, len(i.UserAssigned))
	for text := range i.UserAssigned {
		_, m, err := referred[deskyard.ManagedIdentity](ctx, w.Tx, "identity.userAssignedIdentities", text, "FailedIdentityOperation")
		if err != nil {
			return err
		}
		filled[text] = arm.UserIdentity{PrincipalID: m.PrincipalID, ClientID: m.ClientID}
	}
	if len(filled) > 0 {
		i.UserAssigned = filled
	}
	return nil
}

func (s *Server) submitMachine(ctx context.Context, w *Write, verb string) error {
	return s.submit(ctx, w, deskyard.WorkMachine, verb, rowOfWrite(w).ID)
}

func (s *Server) wakeMachine(_ context.Context, w *Write) {
	if s.opt.Machines != nil {
		s.opt.Machines.Wake(deskyard.WorkMachine, rowOfWrite(w).ID)
	}
}

// rowOfWrite is the row that a write leaves, or that a delete is about.
func rowOfWrite(w *Write) *deskyard.Resource {
	if w.New != nil {
		return w.New
	}
	return w.Old
}

// beforeExtension has an extension admitted, whose machine is there and stays.
func (s *Server) beforeExtension(ctx context.Context, w *Write) error {
	if s.opt.Machines == nil {
		return errNoHypervisor(w.New.ID)
	}
	machine, err := w.Tx.Resource(ctx, w.New.ID.Parent())
	if err != nil {
		return err
	}
	if provisioningState(machine) == deskyard.StateDeleting {
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The machine '%s' is being deleted. Wait until it is gone.", machine.ID.Name())
	}
	return s.admit(ctx, w)
}

func (s *Server) submitExtension(ctx context.Context, w *Write, verb string) error {
	return s.submit(ctx, w, deskyard.WorkExtension, verb, rowOfWrite(w).ID)
}

func (s *Server) wakeExtension(_ context.Context, w *Write) {
	if s.opt.Machines != nil {
		s.opt.Machines.Wake(deskyard.WorkExtension, rowOfWrite(w).ID)
	}
}

// unusedBy refuses to delete what others point at by a relation. A removal of the whole
// group asks again once they are gone.
func (s *Server) unusedBy(relation, code, what string) func(ctx context.Context, w *Write, force bool) error {
	return func(ctx context.Context, w *Write, _ bool) error {
		users, err := w.Tx.Referrers(ctx, relation, w.Old.ID)
		if err != nil {
			return err
		}
		for _, u := range users[w.Old.ID.Key()] {
			return arm.Errorf(arm.Conflicting, code, "'%s' cannot be deleted because it is used by the %s '%s'. Delete that first.", w.Old.ID, what, u)
		}
		return nil
	}
}
