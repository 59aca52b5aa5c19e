package armapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// msixPackageType are the MSIX packages of a host pool.
func (s *Server) msixPackageType() ResourceType {
	return ResourceType{
		Path: "hostPools/msixPackages", Wire: "hostpools/msixpackages", Composite: true, Versions: since("2020-09-21-preview"),
		Name:  NameRule{Min: 3, Max: 100, Pattern: desktopName},
		Verbs: crud, New: func() Model { return new(deskyard.MSIXPackage) },
	}
}

// packageTypes are app attach packages.
func (s *Server) packageTypes() []ResourceType {
	return []ResourceType{{
		Path: "appAttachPackages", Wire: "appattachpackages", Tracked: true, Versions: since("2023-10-04-preview"),
		Name:  NameRule{Min: 3, Max: 100, Pattern: packageName},
		Verbs: Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true},
		New:   func() Model { return new(deskyard.AppAttachPackage) }, BeforeWrite: s.beforePackage,
		Render: s.renderPackages, Filter: filterPackages,
	}}
}

// beforePackage holds a package to the host pools that it is assigned to.
func (s *Server) beforePackage(ctx context.Context, w *Write) error {
	for i, ref := range w.Model.Refs() {
		at := fmt.Sprintf("properties.hostPoolReferences[%d]", i)
		if _, _, err := referred[deskyard.HostPool](ctx, w.Tx, at, ref.Target.String(), "HostPoolNotFound"); err != nil {
			return err
		}
	}
	return nil
}

// packageProperties is a package's properties on the wire.
type packageProperties struct {
	*deskyard.AppAttachPackage
	ProvisioningState string `json:"provisioningState"`
}

func (s *Server) renderPackages(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	row := s.desktopRow("appAttachPackages")
	return renderEach(rows, func(r deskyard.Resource, pkg *deskyard.AppAttachPackage) any {
		return row.RenderBody(r, packageProperties{pkg, "Succeeded"})
	})
}

// filterPackages: package name, host pool and resource group (API description).
func filterPackages(expr string) (func(deskyard.Resource) bool, error) {
	f, err := parseOData(expr, "packagename", "hostpool", "resourcegroup")
	if err != nil {
		return nil, err
	}
	return func(r deskyard.Resource) bool {
		return f.match(func(field string) []string { return packageField(r, field) })
	}, nil
}

// packageField are the values that a filter compares with: a host pool is given by
// its name or its id.
func packageField(r deskyard.Resource, field string) []string {
	switch field {
	case "packagename":
		names := []string{r.ID.Name()}
		if pkg, err := readModel[deskyard.AppAttachPackage](r); err == nil && pkg.Image != nil && pkg.Image.PackageName != nil {
			names = append(names, *pkg.Image.PackageName)
		}
		return names
	case "resourcegroup":
		return []string{r.ID.ResourceGroup}
	}
	var pools []string
	for _, ref := range r.Refs {
		pools = append(pools, ref.Target.Name(), ref.Target.Key())
	}
	return pools
}

// expandMSIXImage would have a session host read an image.
func (s *Server) expandMSIXImage(ctx context.Context, q *Request) (Response, error) {
	var req struct {
		URI string `json:"uri"`
	}
	if err := q.Decode(&req); err != nil {
		return Response{}, err
	}
	if strings.TrimSpace(req.URI) == "" {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The property 'uri' is required: the path of the image.").WithTarget("uri")
	}
	return s.readImage(ctx, q, req.URI)
}

// importPackage would have a session host read an image.
func (s *Server) importPackage(ctx context.Context, q *Request) (Response, error) {
	var req struct {
		Path         string  `json:"path"`
		Architecture *string `json:"packageArchitecture"`
	}
	if err := q.Decode(&req); err != nil {
		return Response{}, err
	}
	if strings.TrimSpace(req.Path) == "" {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The property 'path' is required: the path of the image.").WithTarget("path")
	}
	if a := req.Architecture; a != nil && !containsFold(deskyard.PackageArchitectures, *a) {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The value '%s' of 'packageArchitecture' is not one of: %s.",
			clip(*a), strings.Join(deskyard.PackageArchitectures, ", ")).WithTarget("packageArchitecture")
	}
	return s.readImage(ctx, q, req.Path)
}

// readImage says why the image cannot be read. As in Azure a session host has to do
// it, since only hosts reach the share; none of our agents can read MSIX images,
// which take Windows to mount.
func (s *Server) readImage(ctx context.Context, q *Request, path string) (Response, error) {
	if _, err := q.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	hosts, err := s.store.SessionHosts(ctx, deskyard.HostQuery{Pool: q.ID})
	if err != nil {
		return Response{}, err
	}
	for _, h := range hosts.Items {
		h, lease := s.live(h)
		if status, _ := h.Status(lease, s.now()); deskyard.Usable(status) {
			return Response{}, arm.Errorf(arm.Conflicting, "PackageImageNotSupported",
				"The session host '%s' (%s) cannot read the package image '%s': MSIX images are mounted by Windows, and its agent does not offer it. Describe the package in a PUT instead.",
				h.ID.Name(), h.Machine.OS, clip(path))
		}
	}
	return Response{}, arm.Errorf(arm.Conflicting, "NoSessionHostAvailable",
		"The package image '%s' has to be read by a session host, and the host pool '%s' has none that is Available. Start one and try again.", clip(path), q.ID.Name())
}
