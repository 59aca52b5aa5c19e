package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// joins reports whether a step joins its machine to the service's own directory.
func joins(step deskyard.Step) (bool, error) {
	switch step.Kind {
	case deskyard.StepDirectory:
		return true, nil
	case deskyard.StepAgent:
		var settings agentStep
		if err := json.Unmarshal(step.Settings, &settings); err != nil {
			return false, fmt.Errorf("read the settings of step %s: %w", step.ID, err)
		}
		return settings.AADJoin, nil
	}
	return false, nil
}

// noteJoin gives a machine that has joined its object in the directory. It runs again
// after a crash, for the guest answers again what came of the step.
func (s *Service) noteJoin(ctx context.Context, machine arm.ResourceID, p machineProperties, step deskyard.Step, r deskyard.StepResult) error {
	joined, err := joins(step)
	if err != nil || !joined || r.State != deskyard.StepSucceeded || s.o.Devices == nil {
		return err
	}
	g, err := s.o.Store.Guest(ctx, p.VMID)
	if err != nil {
		return fmt.Errorf("read the guest of %s: %w", machine.Name(), err)
	}
	system := "Linux"
	if g.Facts.OS == "windows" {
		system = "Windows"
	}
	return s.o.Devices.AddDevice(ctx, directory.Device{
		// The guest enrolled before it had its name.
		DeviceID: p.VMID, DisplayName: cmp.Or(p.OS.ComputerName, machine.Name()), OS: system, OSVersion: g.Facts.OSVersion, Resource: machine.String(),
	})
}

// forgetDevice removes the object of a machine that is gone.
func (s *Service) forgetDevice(ctx context.Context, vmID string) error {
	if s.o.Devices == nil || vmID == "" {
		return nil
	}
	_, err := s.o.Devices.RemoveDevice(ctx, vmID)
	return err
}
