package identity

import (
	"context"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// wireDevice is a device as Graph writes it; Azure puts a virtual machine's resource id
// into physicalIds, too.
func wireDevice(d directory.Device) map[string]any {
	physical := []string{}
	if d.Resource != "" {
		physical = append(physical, "[AzureResourceId]:"+d.Resource)
	}
	return map[string]any{
		"id": d.ObjectID, "deviceId": d.DeviceID, "displayName": d.DisplayName, "accountEnabled": !d.Disabled,
		"operatingSystem": d.OS, "operatingSystemVersion": d.OSVersion, "trustType": "AzureAd", "profileType": "SecureVM",
		"registrationDateTime": wireTime(d.CreatedAt), "createdDateTime": wireTime(d.CreatedAt), "physicalIds": physical,
		"isManaged": nil, "isCompliant": nil, "mdmAppId": nil,
	}
}

func deviceAttributes(d directory.Device) attributes {
	return func(p string) ([]string, bool) {
		switch strings.ToLower(p) {
		case "id":
			return []string{d.ObjectID}, true
		case "deviceid":
			return []string{d.DeviceID}, true
		case "displayname":
			return []string{d.DisplayName}, true
		case "operatingsystem":
			return []string{d.OS}, true
		case "accountenabled":
			return []string{boolText(!d.Disabled)}, true
		case "trusttype":
			return []string{"AzureAd"}, true
		}
		return nil, false
	}
}

func (c *graphCall) listDevices(ctx context.Context) (int, any, error) {
	return list(ctx, c, listing[directory.Device]{
		of: "devices", fetch: c.s.store.Devices, attr: deviceAttributes, render: wireDevice,
		look: func(ctx context.Context, f *filter) (*directory.Device, bool, error) {
			if id, ok := f.equals("id"); ok {
				return orNone(c.s.store.Device(ctx, id))
			}
			if id, ok := f.equals("deviceId"); ok {
				return orNone(c.s.store.DeviceByID(ctx, id))
			}
			return nil, false, nil
		},
	})
}

// deviceNamed finds the device of a path by its object id, as Graph does.
func (c *graphCall) deviceNamed(ctx context.Context) (directory.Device, error) {
	d, err := c.s.store.Device(ctx, strings.ToLower(c.ids[0]))
	if arm.IsMissing(err) {
		err = notFound(c.ids[0])
	}
	return d, err
}

func (c *graphCall) getDevice(ctx context.Context) (int, any, error) {
	d, err := c.deviceNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("devices", wireDevice(d)), nil
}

// patchDevice enables or disables a device; nobody signs in to a disabled one with an
// account of the directory.
func (c *graphCall) patchDevice(ctx context.Context) (int, any, error) {
	var b struct {
		Enabled *bool `json:"accountEnabled"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	d, err := c.deviceNamed(ctx)
	if err == nil && b.Enabled != nil {
		_, err = c.s.store.UpdateDevice(ctx, d.ObjectID, func(d *directory.Device) error {
			d.Disabled = !*b.Enabled
			return nil
		})
	}
	return http.StatusNoContent, nil, err
}

func (c *graphCall) deleteDevice(ctx context.Context) (int, any, error) {
	d, err := c.deviceNamed(ctx)
	if err == nil {
		err = c.s.store.DeleteDevice(ctx, d.ObjectID)
	}
	return http.StatusNoContent, nil, err
}
