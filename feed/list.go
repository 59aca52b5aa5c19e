package feed

import (
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

// workspace and resource are what the web client shows.
type workspace struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	FriendlyName string     `json:"friendlyName"`
	Description  string     `json:"description,omitempty"`
	Resources    []resource `json:"resources"`
}

type resource struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	FriendlyName string `json:"friendlyName"`
	Type         string `json:"type"` // Desktop | RemoteApp
	Description  string `json:"description,omitempty"`
	InBrowser    bool   `json:"inBrowser"` // the web client can show it
	HostPool     string `json:"hostPool"`
	RDP          string `json:"rdp"`
	Icon         string `json:"icon"`
}

func (d *Door) list(w http.ResponseWriter, r *http.Request, p deskyard.Principal) error {
	found, err := d.o.Connections.Resources(r.Context(), p)
	if err != nil {
		return err
	}
	all := make([]workspace, len(found))
	for i, f := range found {
		all[i] = workspace{ID: f.ID.String(), Name: f.ID.Name(), FriendlyName: f.Name, Description: f.Description, Resources: make([]resource, len(f.Resources))}
		for j, x := range f.Resources {
			all[i].Resources[j] = resource{
				ID: x.ID.String(), Name: x.ID.Name(), FriendlyName: x.Name, Type: x.Kind, Description: x.Description, HostPool: x.PoolName,
				InBrowser: x.Kind != connect.KindRemoteApp || x.Application.Shell() != "",
				RDP:       "/connect/v1/resources/" + x.ObjectID + ".rdp", Icon: "/connect/v1/icons/" + iconName(x) + ".png",
			}
		}
	}
	answer(w, http.StatusOK, map[string]any{"user": p.Name, "workspaces": all})
	return nil
}

// find gives a resource of the user's by its object id.
func (d *Door) find(r *http.Request, p deskyard.Principal, objectID string) (connect.Resource, connect.Workspace, error) {
	found, err := d.o.Connections.Resources(r.Context(), p)
	if err != nil {
		return connect.Resource{}, connect.Workspace{}, err
	}
	for _, f := range found {
		for _, x := range f.Resources {
			if strings.EqualFold(x.ObjectID, objectID) {
				return x, f, nil
			}
		}
	}
	return connect.Resource{}, connect.Workspace{}, arm.Errorf(arm.Missing, "ResourceNotFound",
		"This desktop or application is not assigned to you, or is there no more. Refresh the list.")
}
