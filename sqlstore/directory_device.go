package sqlstore

import (
	"context"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/directory"
)

// Device reads a device by object id.
func (db *DB) Device(ctx context.Context, objectID string) (directory.Device, error) {
	return devices.get(ctx, db.queries, objectID)
}

// DeviceByID reads a device by its machine's SMBIOS UUID.
func (db *DB) DeviceByID(ctx context.Context, id string) (directory.Device, error) {
	return devices.named(ctx, db.queries, deviceID, id)
}

// Devices lists devices by display name.
func (db *DB) Devices(ctx context.Context, q directory.Query) (deskyard.Page[directory.Device], error) {
	return devices.list(ctx, db.queries, q)
}

// CreateDevice inserts a device.
func (db *DB) CreateDevice(ctx context.Context, d directory.Device) error {
	return create(ctx, db, devices, d)
}

// UpdateDevice changes a device.
func (db *DB) UpdateDevice(ctx context.Context, objectID string, f func(*directory.Device) error) (directory.Device, error) {
	return devices.update(ctx, db, objectID, f)
}

// DeleteDevice removes a device.
func (db *DB) DeleteDevice(ctx context.Context, objectID string) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		return devices.delete(ctx, tx, objectID)
	})
}
