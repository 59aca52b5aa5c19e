package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// Orphan is one half of something whose other half is gone.
type Orphan struct {
	Kind       string `json:"kind"` // machine | disk | network | firmware | seed | folder on a hypervisor; row, guest, interface in the store
	Name       string `json:"name"`
	Where      string `json:"where"` // path or name on the hypervisor, or the row's id
	Hypervisor string `json:"hypervisor,omitempty"`
	Reason     string `json:"reason"`
	Command    string `json:"command"`   // what cleans it up, or what to do instead
	Automatic  bool   `json:"automatic"` // certainly ours and dead: the service removes it by itself after a grace

	machineID string
	id        arm.ResourceID
}

// key tells orphans apart from one sweep to the next.
func (o Orphan) key() string { return o.Kind + " " + o.Hypervisor + " " + o.Where + " " + o.machineID }

// Times of sweeping.
const (
	sweepEvery  = 10 * time.Minute
	orphanGrace = 30 * time.Minute // from the first sweep that found it: longer than any making is between its row and its machine
	cleanAll    = "deskyard orphans --clean"
)

// Orphans looks for what has lost its other half: things on hypervisors that carry
// this installation's mark and belong to no row, and rows whose things are gone. A
// hypervisor that does not answer is named instead of being taken for empty.
func (s *Service) Orphans(ctx context.Context) ([]Orphan, error) {
	works, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkMachine})
	if err != nil {
		return nil, err
	}
	// Items are read after the rows: a machine is in its row before it is anywhere
	// else, so that none that is being made is mistaken; one made since is told by
	// reading its row again.
	list, found, err := s.strayItems(ctx, works.Items)
	if err != nil {
		return nil, err
	}
	lost, err := s.lostMachines(ctx, works.Items, found)
	if err != nil {
		return nil, err
	}
	loose, err := s.looseRows(ctx)
	if err != nil {
		return nil, err
	}
	list = slices.Concat(list, lost, loose)
	s.machines.metrics.orphans.Set(float64(len(list)))
	return list, nil
}

// hostItems is what a hypervisor has of ours.
type hostItems map[string]map[string]bool // by hypervisor: machine ids; no entry when it does not answer

// strayItems are things on hypervisors that no row accounts for there.
func (s *Service) strayItems(ctx context.Context, works []deskyard.Work) (list []Orphan, found hostItems, err error) {
	owners := map[string]machineState{}
	for _, w := range works {
		st, _, err := s.openMachine(deskyard.Work{ID: w.ID, State: w.State})
		if err != nil {
			return nil, nil, err
		}
		owners[st.MachineID] = st
	}
	found = hostItems{}
	for _, h := range s.o.Hypervisors {
		items, err := s.inventory(ctx, h)
		if err != nil {
			list = append(list, Orphan{Kind: "hypervisor", Name: h.Name, Hypervisor: h.Name, Where: h.Name,
				Reason: fmt.Sprintf("It does not answer (%v), so that nobody knows what is on it.", err), Command: "deskyard doctor"})
			continue
		}
		found[h.Name] = map[string]bool{}
		for _, i := range items {
			if i.Kind == "machine" {
				found[h.Name][i.MachineID] = true
			}
			st, owned := owners[i.MachineID]
			if owned && st.Place.Host == h.Name {
				continue
			}
			made, err := s.madeSince(ctx, i.MachineID)
			if err != nil {
				return nil, nil, err
			}
			if made {
				continue
			}
			o := Orphan{Kind: i.Kind, Name: i.Name, Where: i.Where, Hypervisor: h.Name, machineID: i.MachineID, Command: cleanAll, Automatic: true,
				Reason: "No machine of the service has it."}
			if owned {
				o.Reason = fmt.Sprintf("The machine that it is of is on '%s' now.", st.Place.Host)
			}
			list = append(list, o)
		}
	}
	return list, found, nil
}

// inventoryTime is how long a hypervisor may take to list what it has.
const inventoryTime = 30 * time.Second

func (s *Service) inventory(ctx context.Context, h Hypervisor) ([]compute.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryTime)
	defer cancel()
	return h.Driver.Inventory(ctx, s.o.Owner)
}

// madeSince reports whether a machine that no row had a moment ago has one now.
func (s *Service) madeSince(ctx context.Context, machineID string) (bool, error) {
	if machineID == "" {
		return false, nil
	}
	if len(s.machines.entries(func(e *ledgerEntry) bool { return e.machineID == machineID })) > 0 {
		return true, nil
	}
	g, err := s.o.Store.Guest(ctx, machineID)
	if arm.IsMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return exists(ctx, s.o.Store, workOfMachine(g.VM))
}

// lostMachines are rows of machines that their hypervisor does not have any more, and
// work whose row is gone.
func (s *Service) lostMachines(ctx context.Context, works []deskyard.Work, found hostItems) (list []Orphan, err error) {
	for _, w := range works {
		var st machineState
		if err := json.Unmarshal(w.State, &st); err != nil {
			return nil, fmt.Errorf("read how far %s has come: %w", w.ID, err)
		}
		row, err := exists(ctx, s.o.Store, w.ID)
		if err != nil {
			return nil, err
		}
		items, answered := found[st.Place.Host]
		switch {
		case !row:
			list = append(list, Orphan{Kind: "work", Name: w.ID.Name(), Where: w.ID.String(), Hypervisor: st.Place.Host, id: w.ID, Command: cleanAll, Automatic: true,
				Reason: "The machine's resource was deleted and what it had is being removed."})
		case st.Step == stepReady && answered && !items[st.MachineID]:
			list = append(list, Orphan{Kind: "row", Name: guestOwner(w.ID).Name(), Where: w.ID.String(), Hypervisor: st.Place.Host, id: w.ID,
				Reason: "The machine is gone from its hypervisor though nobody asked for it.", Command: "az resource delete --ids " + guestOwner(w.ID).String()})
		}
	}
	return list, nil
}

// looseRows are interfaces that say they are a machine's that does not exist.
func (s *Service) looseRows(ctx context.Context) (list []Orphan, err error) {
	for _, typ := range []string{"Microsoft.Network/networkInterfaces", "Microsoft.AzureStackHCI/networkInterfaces"} {
		rows, err := s.o.Store.Resources(ctx, deskyard.ResourceQuery{Type: typ})
		if err != nil {
			return nil, err
		}
		for _, r := range rows.Items {
			var p struct {
				VM *reference `json:"virtualMachine"`
			}
			if err := readProperties(r, &p); err != nil {
				return nil, err
			}
			if p.VM == nil || p.VM.ID == "" {
				continue
			}
			there, err := exists(ctx, s.o.Store, parsed(p.VM.ID))
			if err != nil {
				return nil, err
			}
			if !there {
				list = append(list, Orphan{Kind: "interface", Name: r.ID.Name(), Where: r.ID.String(), id: r.ID, Command: cleanAll, Automatic: true,
					Reason: "It says that it is attached to a machine that does not exist."})
			}
		}
	}
	return list, nil
}

// CleanOrphans removes the orphans that are certainly this installation's and dead,
// and tells those that are left. What is left has a command of its own.
func (s *Service) CleanOrphans(ctx context.Context) ([]Orphan, error) {
	list, err := s.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	return s.clean(ctx, list, func(o Orphan) bool { return o.Automatic })
}

// clean removes the orphans that which chooses and tells the others, and those that
// could not be removed, with why.
func (s *Service) clean(ctx context.Context, list []Orphan, which func(Orphan) bool) (left []Orphan, err error) {
	removed := map[string]bool{} // machines: Remove takes all their pieces along
	for _, o := range list {
		if !which(o) {
			left = append(left, o)
			continue
		}
		key := o.Hypervisor + " " + o.machineID
		if o.machineID != "" && removed[key] {
			continue
		}
		if err := s.cleanOne(ctx, o); err != nil {
			o.Reason += fmt.Sprintf(" It was not removed: %v.", err)
			left = append(left, o)
			continue
		}
		removed[key] = true
		s.log.Info("orphan removed", "kind", o.Kind, "name", o.Name, "where", o.Where, "hypervisor", o.Hypervisor)
	}
	return left, nil
}

func (s *Service) cleanOne(ctx context.Context, o Orphan) error {
	switch o.Kind {
	case "work":
		s.Wake(deskyard.WorkMachine, o.id)
		return nil
	case "interface":
		return s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			return alterRow(ctx, tx, o.id, func(p map[string]json.RawMessage) { delete(p, "virtualMachine") })
		})
	}
	h, ok := s.hypervisor(o.Hypervisor)
	if !ok || o.machineID == "" {
		return errors.New("nobody knows which machine it is of; remove it by hand")
	}
	return s.onHost(ctx, h, func(ctx context.Context) error {
		made, err := s.madeSince(ctx, o.machineID)
		if err != nil {
			return err
		}
		if made && !strings.HasPrefix(o.Reason, "The machine that it is of is on") {
			return nil // it found its other half
		}
		return h.Driver.Remove(ctx, o.machineID)
	})
}

// sweep looks for orphans time and again until ctx ends, and removes those that are
// certainly ours and dead once they were seen for longer than anything is made in.
func (s *Service) sweep(ctx context.Context) {
	seen := map[string]time.Time{}
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if err := s.sweepOnce(ctx, seen); err != nil && ctx.Err() == nil {
				s.log.Warn("orphans not swept; trying again", "err", err)
			}
		}
	}
}

func (s *Service) sweepOnce(ctx context.Context, seen map[string]time.Time) error {
	list, err := s.Orphans(ctx)
	if err != nil {
		return err
	}
	now, here := s.now(), map[string]bool{}
	for _, o := range list {
		here[o.key()] = true
		if _, known := seen[o.key()]; !known {
			seen[o.key()] = now
			s.log.Warn("orphan found", "kind", o.Kind, "name", o.Name, "where", o.Where, "hypervisor", o.Hypervisor, "reason", o.Reason)
		}
	}
	for k := range seen {
		if !here[k] {
			delete(seen, k)
		}
	}
	_, err = s.clean(ctx, list, func(o Orphan) bool { return o.Automatic && now.Sub(seen[o.key()]) >= orphanGrace })
	return err
}
