package armapi

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/deskyard/deskyard"
)

const (
	computeNamespace = "Microsoft.Compute"
	joinAction       = "/join/action"
)

// computeVersions are the api-versions of Microsoft.Compute that clients are told of;
// every well-formed one is taken, since the shapes differ in additions only.
var computeVersions = []string{
	"2016-03-30", "2017-12-01", "2018-04-01", "2018-10-01", "2019-03-01", "2019-07-01", "2019-12-01", "2020-06-01", "2020-12-01", "2021-03-01",
	"2021-04-01", "2021-07-01", "2021-11-01", "2022-03-01", "2022-08-01", "2022-11-01", "2023-03-01", "2023-07-01", "2023-09-01", "2024-03-01",
	"2024-07-01", "2024-11-01", "2025-04-01",
}

var (
	// vmName is Resource Manager's rule for a virtual machine's name; the computer's
	// own name has narrower ones.
	vmName      = regexp.MustCompile(`^[^_\W][\w.-]*[\w-]$|^[^_\W]$`)
	networkName = regexp.MustCompile(`^[A-Za-z0-9]$|^[A-Za-z0-9][\w.-]*\w$`)
	galleryName = regexp.MustCompile(`^[A-Za-z0-9][\w.]*$`)
	versionName = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
)

// machineVerbs are the verbs of types outside of AVD.
var machineVerbs = Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true}

// childVerbs are those of types below another.
var childVerbs = Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true}

// computeTypes are the rows of Microsoft.Compute.
func (s *Server) computeTypes() []ResourceType {
	rows := concat([]ResourceType{s.virtualMachineType(), s.extensionType("virtualMachines/extensions"), s.availabilitySetType()}, s.imageTypes())
	for i := range rows {
		row := &rows[i]
		row.Namespace, row.Versions, row.AnyVersion, row.Sparse = computeNamespace, computeVersions, true, true
		if row.Name.Max == 0 {
			row.Name = NameRule{Min: 1, Max: 80, Pattern: networkName}
		}
	}
	return rows
}

func (s *Server) virtualMachineType() ResourceType {
	const at = computeNamespace + "/virtualMachines"
	action := func(path string, handle handler) Action {
		return Action{Path: path, Permission: at + "/" + path + "/action", Handle: handle}
	}
	power := func(path, verb string) Action { return action(path, s.powerAction(verb)) }
	return ResourceType{
		Path: "virtualMachines", Tracked: true, UserIdentities: true, Verbs: machineVerbs,
		Name:        NameRule{Min: 1, Max: 64, Pattern: vmName},
		New:         func() Model { return new(deskyard.VirtualMachine) },
		BeforeWrite: s.beforeVM, Linked: linkedOf, Submit: s.submitMachine, AfterCommit: s.wakeMachine,
		Render: s.renderVMs,
		Actions: []Action{
			{Method: http.MethodGet, Path: "instanceView", Permission: at + "/instanceView/read", Handle: s.instanceViewOf},
			{Method: http.MethodGet, Path: "vmSizes", Permission: at + "/vmSizes/read", Handle: s.listSizesOfResource},
			power("start", deskyard.JobStart), power("powerOff", deskyard.JobPowerOff), power("restart", deskyard.JobRestart),
			power("deallocate", deskyard.JobDeallocate), power("reapply", deskyard.JobPut),
			action("runCommand", s.runCommand),
			action("retrieveBootDiagnosticsData", s.bootDiagnostics),
			action("generalize", refuseGeneralize), action("capture", refuseGeneralize), action("redeploy", refuseElsewhere), action("reimage", refuseElsewhere),
		},
	}
}

// extensionType is the row of a machine's extensions, of either provider.
func (s *Server) extensionType(path string) ResourceType {
	return ResourceType{
		Path: path, Tracked: true, Verbs: childVerbs, Name: NameRule{Min: 1, Max: 80},
		New:         func() Model { return new(deskyard.VMExtension) },
		BeforeWrite: s.beforeExtension, Submit: s.submitExtension, AfterCommit: s.wakeExtension, Render: s.renderExtensions,
	}
}

func (s *Server) availabilitySetType() ResourceType {
	const at = computeNamespace + "/availabilitySets"
	return ResourceType{
		Path: "availabilitySets", Tracked: true, Verbs: machineVerbs, PutNew: http.StatusOK,
		New:          func() Model { return new(deskyard.AvailabilitySet) },
		BeforeDelete: s.unusedBy(deskyard.RelationAvailabilitySet, "AvailabilitySetInUse", "virtual machine"),
		Render:       s.renderAvailabilitySets,
		Actions:      []Action{{Method: http.MethodGet, Path: "vmSizes", Permission: at + "/vmSizes/read", Handle: s.listSizesOfResource}},
	}
}

// imageTypes are images that are named by a resource.
func (s *Server) imageTypes() []ResourceType {
	inUse := s.unusedBy(deskyard.RelationImage, "ImageInUse", "virtual machine")
	gallery := NameRule{Min: 1, Max: 80, Pattern: galleryName}
	return []ResourceType{
		{Path: "images", Tracked: true, Verbs: machineVerbs, New: func() Model { return new(deskyard.Image) }, BeforeDelete: inUse},
		{Path: "galleries", Tracked: true, Verbs: machineVerbs, Name: gallery, New: func() Model { return new(deskyard.Gallery) }},
		{Path: "galleries/images", Tracked: true, Verbs: childVerbs, New: func() Model { return new(deskyard.GalleryImage) }, BeforeDelete: inUse},
		{Path: "galleries/images/versions", Tracked: true, Verbs: childVerbs, Name: NameRule{Min: 5, Max: 32, Pattern: versionName},
			New: func() Model { return new(deskyard.GalleryImageVersion) }, BeforeDelete: inUse},
	}
}

// linkedOf is the right that a body needs on what it refers to, as Azure's roles for
// machines name them.
func linkedOf(ref deskyard.Ref) string {
	typ := strings.ToLower(ref.Target.Type())
	switch ref.Relation {
	case deskyard.RelationNIC, deskyard.RelationSecurityGroup:
		return ref.Target.Type() + joinAction
	case deskyard.RelationSubnet:
		return ref.Target.Type() + joinAction
	case deskyard.RelationImage:
		if strings.HasPrefix(typ, "microsoft.azurestackhci/") {
			return ref.Target.Type() + "/deploy/action"
		}
		return ref.Target.Type() + "/read"
	}
	return ""
}

// computeDoors are the paths of Microsoft.Compute that name no resource.
func (s *Server) computeDoors() []Door {
	const (
		sub      = "/subscriptions/{subscription}/providers/Microsoft.Compute"
		location = sub + "/locations/{location}"
		images   = location + "/publishers"
	)
	get := func(path, permission string, handle handler) Door {
		return Door{Method: http.MethodGet, Path: path, Permission: computeNamespace + "/" + permission, Handle: handle}
	}
	return []Door{
		get(location+"/vmSizes", "locations/vmSizes/read", s.listSizes),
		get(location+"/usages", "locations/usages/read", s.listComputeUsages),
		get(location+"/virtualMachines", "virtualMachines/read", s.listMachinesOfLocation),
		get(sub+"/skus", "skus/read", s.listSKUs),
		get(images, "locations/publishers/read", s.listImageParts("publisher")),
		get(images+"/{publisher}/artifacttypes/vmimage/offers", "locations/publishers/artifacttypes/offers/read", s.listImageParts("offer")),
		get(images+"/{publisher}/artifacttypes/vmimage/offers/{offer}/skus", "locations/publishers/artifacttypes/offers/skus/read", s.listImageParts("sku")),
		get(images+"/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions", "locations/publishers/artifacttypes/offers/skus/versions/read", s.listImageParts("version")),
		get(images+"/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions/{version}", "locations/publishers/artifacttypes/offers/skus/versions/read", s.getImageVersion),
		{Method: http.MethodGet, Path: "/bootdiagnostics/{ticket}/{file}", Public: true, NoVersion: true, Handle: s.bootDiagnosticsFile},
	}
}
