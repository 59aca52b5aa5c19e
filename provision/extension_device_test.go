package provision_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/directory"
)

// deviceList is a directory of devices in memory, whose first write fails.
type deviceList struct {
	mu    sync.Mutex
	rows  map[string]directory.Device
	tries int
}

func (d *deviceList) AddDevice(_ context.Context, n directory.Device) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tries++; d.tries == 1 {
		return errors.New("the store is busy")
	}
	d.rows[n.DeviceID] = n
	return nil
}

func (d *deviceList) RemoveDevice(_ context.Context, id string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, found := d.rows[id]
	delete(d.rows, id)
	return found, nil
}

func (d *deviceList) get(id string) (directory.Device, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, found := d.rows[id]
	return v, found
}

func TestAMachineThatJoinedTheDirectoryHasADeviceUntilItIsRemoved(t *testing.T) {
	x := newSite(t)
	list := &deviceList{rows: map[string]directory.Device{}}
	x.opt.Devices = list
	x.run()
	vm := x.machine(1, "")
	x.submit(vm, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(vm) == "Succeeded" })
	x.ended(x.extension(vm.Child("extensions", "script"), scriptTagged(""), ""), "Succeeded")
	if list.tries != 0 {
		t.Error("a script joined the directory")
	}
	x.ended(x.extension(vm.Child("extensions", "AADLoginForWindows"), `{"publisher":"Microsoft.Azure.ActiveDirectory","type":"AADLoginForWindows","settings":{}}`, ""), "Succeeded")
	if d, found := list.get(guid(1)); !found || d.Resource != vm.String() || d.DisplayName != vm.Name() || d.OS != "Linux" || list.tries != 2 {
		t.Errorf("device %+v, found %v, after %d tries", d, found, list.tries)
	}
	// Asked for beside the agent, as Microsoft's templates have it, the join counts too.
	for id, joins := range map[string]string{"plain": "false", "joining": "true"} {
		if _, err := list.RemoveDevice(t.Context(), guid(1)); err != nil {
			t.Fatal(err)
		}
		x.ended(x.extension(vm.Child("extensions", id), `{"publisher":"Microsoft.Powershell","type":"DSC","settings":{"configurationFunction":"Configuration.ps1\\AddSessionHost","properties":{"aadJoin":`+joins+`}}}`,
			`{"registrationInfoToken":"a.b.c"}`), "Succeeded")
		if _, found := list.get(guid(1)); found != (joins == "true") {
			t.Errorf("with aadJoin %s there is a device: %v", joins, found)
		}
	}
	if err := list.AddDevice(t.Context(), directory.Device{DeviceID: guid(1)}); err != nil {
		t.Fatal(err)
	}
	x.submit(vm, deskyard.JobDelete)
	x.until("the machine's end", func() bool { return x.properties(vm) == nil })
	if d, found := list.get(guid(1)); found {
		t.Errorf("left: %+v", d)
	}
}
