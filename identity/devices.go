package identity

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// AddDevice makes sure that the directory has the object of a machine that joined it,
// by the machine's SMBIOS UUID. A machine that joins again keeps its object, enabled
// or not. ObjectID and CreatedAt are set here.
func (s *Service) AddDevice(ctx context.Context, d directory.Device) error {
	d.DeviceID = strings.ToLower(d.DeviceID)
	if !isGUID(d.DeviceID) {
		return fmt.Errorf("add the device %s: its id %.40q is not a GUID", d.DisplayName, d.DeviceID)
	}
	have, err := s.store.DeviceByID(ctx, d.DeviceID)
	if err != nil && !arm.IsMissing(err) {
		return fmt.Errorf("read device %s: %w", d.DeviceID, err)
	}
	if err == nil {
		_, err = s.store.UpdateDevice(ctx, have.ObjectID, func(x *directory.Device) error {
			x.DisplayName, x.OS, x.OSVersion, x.Resource = d.DisplayName, d.OS, d.OSVersion, d.Resource
			return nil
		})
	} else {
		d.ObjectID, d.CreatedAt = uuid.NewString(), s.now().UTC()
		err = s.store.CreateDevice(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("write device %s (%s): %w", d.DisplayName, d.DeviceID, err)
	}
	return nil
}

// RemoveDevice removes the object of a machine by its SMBIOS UUID; removed is false
// when there was none.
func (s *Service) RemoveDevice(ctx context.Context, machineID string) (removed bool, err error) {
	d, err := s.store.DeviceByID(ctx, strings.ToLower(machineID))
	if err == nil {
		err = s.store.DeleteDevice(ctx, d.ObjectID)
	}
	if arm.IsMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove device %s: %w", machineID, err)
	}
	return true, nil
}

// Device finds a device by object id or by its machine's SMBIOS UUID.
func (s *Service) Device(ctx context.Context, id string) (directory.Device, error) {
	id = strings.ToLower(id)
	d, err := s.store.Device(ctx, id)
	if arm.IsMissing(err) {
		return s.store.DeviceByID(ctx, id)
	}
	return d, err
}
