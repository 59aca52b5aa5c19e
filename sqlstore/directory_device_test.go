package sqlstore_test

import (
	"errors"
	"testing"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/sqlstore"
)

func TestDevicesAreFoundByTheirMachineAndAreOncePerMachine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *sqlstore.DB) {
		ctx := t.Context()
		one := directory.Device{ObjectID: "device-1", DeviceID: "Machine-1", DisplayName: "HOST-1", OS: "Linux", OSVersion: "12", Resource: "/x", Disabled: true, CreatedAt: start}
		two := one
		two.ObjectID, two.DeviceID, two.DisplayName = "device-2", "machine-2", "host-0"
		must(t, db.CreateDevice(ctx, one))
		must(t, db.CreateDevice(ctx, two))
		same(t, found(db.Device(ctx, "DEVICE-1"))(t), one)
		same(t, found(db.DeviceByID(ctx, "MACHINE-1"))(t), one)
		again := one
		again.ObjectID = "device-3"
		wantKind(t, db.CreateDevice(ctx, again), arm.Conflicting)
		page, err := db.Devices(ctx, directory.Query{Limit: 1})
		must(t, err)
		same(t, page.Items, []directory.Device{two}) // host-0 before HOST-1
		page, err = db.Devices(ctx, directory.Query{After: page.Next})
		must(t, err)
		same(t, page.Items, []directory.Device{one})
		refusal := errors.New("no")
		if _, err := db.UpdateDevice(ctx, "device-1", func(*directory.Device) error { return refusal }); err != refusal {
			t.Errorf("error %v, want the closure's own", err)
		}
		if _, err := db.UpdateDevice(ctx, "device-1", func(d *directory.Device) error { d.Disabled = false; return nil }); err != nil {
			t.Error(err)
		}
		one.Disabled = false
		same(t, found(db.Device(ctx, "device-1"))(t), one)
		must(t, db.DeleteDevice(ctx, "device-1"))
		_, err = db.DeviceByID(ctx, "machine-1")
		wantKind(t, err, arm.Missing)
		wantKind(t, db.DeleteDevice(ctx, "device-1"), arm.Missing)
		_, err = db.User(ctx, "device-2") // a device is no user
		wantKind(t, err, arm.Missing)
	})
}
