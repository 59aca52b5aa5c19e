package armapi

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// sizeBody is a size in the lists of vmSizes.
type sizeBody struct {
	Name         string `json:"name"`
	Cores        int    `json:"numberOfCores"`
	OSDiskMB     int    `json:"osDiskSizeInMB"`
	TempDiskMB   int    `json:"resourceDiskSizeInMB"`
	MemoryMB     int    `json:"memoryInMB"`
	MaxDataDisks int    `json:"maxDataDiskCount"`
}

// osDiskMB is the bound of a system disk that Azure shows for every size.
const osDiskMB = 1047552

func sizeBodies() []any {
	all := deskyard.VMSizes()
	out := make([]any, len(all))
	for i, z := range all {
		out[i] = sizeBody{z.Name, z.CPUs, osDiskMB, z.TempDiskMB, z.MemoryMB, z.MaxDataDisks}
	}
	return out
}

func (s *Server) listSizes(_ context.Context, req *Request) (Response, error) {
	if _, err := s.checkLocation("locations", req.Vars["location"]); err != nil {
		return Response{}, err
	}
	return req.ListResponse(sizeBodies(), ""), nil
}

// listSizesOfResource lists what a machine, or a set's machines, may be changed to.
func (s *Server) listSizesOfResource(ctx context.Context, req *Request) (Response, error) {
	if _, err := req.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	return req.ListResponse(sizeBodies(), ""), nil
}

// usageBody is a quota on the wire.
type usageBody struct {
	ID    string `json:"id,omitempty"`
	Unit  string `json:"unit"`
	Value int64  `json:"currentValue"`
	Limit int64  `json:"limit"`
	Name  struct {
		Value     string `json:"value"`
		Localized string `json:"localizedValue"`
	} `json:"name"`
}

func usageOf(u deskyard.Usage) usageBody {
	b := usageBody{Unit: u.Unit, Value: u.Current, Limit: u.Limit}
	if b.Unit == "" {
		b.Unit = "Count"
	}
	b.Name.Value, b.Name.Localized = u.Name, u.Localized
	return b
}

// listComputeUsages lists the quotas of a location; there are none where no machine
// can be made.
func (s *Server) listComputeUsages(ctx context.Context, req *Request) (Response, error) {
	location, err := s.checkLocation("locations", req.Vars["location"])
	if err != nil {
		return Response{}, err
	}
	items := []any{}
	if s.opt.Machines != nil {
		all, err := s.opt.Machines.Usages(ctx, location)
		if err != nil {
			return Response{}, err
		}
		for _, u := range all {
			items = append(items, usageOf(u))
		}
	}
	return req.ListResponse(items, ""), nil
}

// skuBody is an entry of Microsoft.Compute/skus.
type skuBody struct {
	ResourceType string          `json:"resourceType"`
	Name         string          `json:"name"`
	Tier         string          `json:"tier"`
	Size         string          `json:"size"`
	Family       string          `json:"family"`
	Locations    []string        `json:"locations"`
	LocationInfo []skuLocation   `json:"locationInfo"`
	Capabilities []skuCapability `json:"capabilities"`
	Restrictions []any           `json:"restrictions"`
}

type skuLocation struct {
	Location string   `json:"location"`
	Zones    []string `json:"zones"`
	Details  []any    `json:"zoneDetails"`
}

type skuCapability struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// listSKUs lists sizes with what they can do, in every location or in the one that
// $filter names.
func (s *Server) listSKUs(_ context.Context, req *Request) (Response, error) {
	locations := make([]string, len(s.locations))
	for i, l := range s.locations {
		locations[i] = l.Name
	}
	if text := strings.TrimSpace(req.Query("$filter")); text != "" {
		f, err := parseOData(text, "location")
		if err != nil {
			return Response{}, err
		}
		if l, ok := f.must("location", "eq"); ok {
			locations = []string{canonicalLocation(l)}
		}
	}
	info := make([]skuLocation, len(locations))
	for i, l := range locations {
		info[i] = skuLocation{Location: l, Zones: []string{"1", "2", "3"}, Details: []any{}}
	}
	items := []any{}
	for _, z := range deskyard.VMSizes() {
		items = append(items, skuBody{ResourceType: "virtualMachines", Name: z.Name, Tier: "Standard", Size: strings.TrimPrefix(z.Name, "Standard_"),
			Family: z.Family, Locations: locations, LocationInfo: info, Capabilities: capabilitiesOf(z), Restrictions: []any{}})
	}
	return req.ListResponse(items, ""), nil
}

func capabilitiesOf(z deskyard.VMSize) []skuCapability {
	yes := func(b bool) string {
		if b {
			return "True"
		}
		return "False"
	}
	list := []skuCapability{
		{"vCPUs", strconv.Itoa(z.CPUs)}, {"vCPUsAvailable", strconv.Itoa(z.CPUs)}, {"MemoryGB", strconv.FormatFloat(float64(z.MemoryMB)/1024, 'g', -1, 64)},
		{"MaxResourceVolumeMB", strconv.Itoa(z.TempDiskMB)}, {"OSVhdSizeMB", strconv.Itoa(osDiskMB)}, {"MaxDataDiskCount", strconv.Itoa(z.MaxDataDisks)},
		{"MaxNetworkInterfaces", strconv.Itoa(z.MaxNICs)}, {"HyperVGenerations", z.Generations}, {"CpuArchitectureType", "x64"},
		{"PremiumIO", yes(z.Premium)}, {"HibernationSupported", yes(z.Hibernation)}, {"TrustedLaunchDisabled", yes(!z.TrustedLaunch)},
		{"EncryptionAtHostSupported", "False"}, {"EphemeralOSDiskSupported", "False"}, {"AcceleratedNetworkingEnabled", "True"}, {"UltraSSDAvailable", "False"},
	}
	if z.Confidential != "" {
		list = append(list, skuCapability{"ConfidentialComputingType", z.Confidential})
	}
	if z.GPUs > 0 {
		list = append(list, skuCapability{"GPUs", strconv.Itoa(z.GPUs)})
	}
	return list
}

// imagePart is a level of the image catalogue: a publisher, an offer, a SKU, a version.
type imagePart struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Location string `json:"location"`
}

// imagesAt are the catalogue's images of a location.
func (s *Server) imagesAt(ctx context.Context, location string) ([]ImageInfo, error) {
	if s.opt.Images == nil {
		return nil, nil
	}
	all, err := s.opt.Images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the image catalogue: %w", err)
	}
	var out []ImageInfo
	for _, i := range all {
		if len(i.Locations) == 0 || containsFold(i.Locations, location) {
			out = append(out, i)
		}
	}
	return out, nil
}

// listImageParts lists one level of the catalogue below what the path names.
func (s *Server) listImageParts(level string) handler {
	return func(ctx context.Context, req *Request) (Response, error) {
		location, err := s.checkLocation("locations", req.Vars["location"])
		if err != nil {
			return Response{}, err
		}
		images, err := s.imagesAt(ctx, location)
		if err != nil {
			return Response{}, err
		}
		names := map[string]string{}
		for _, i := range images {
			if !i.below(req.Vars) {
				continue
			}
			name := map[string]string{"publisher": i.Publisher, "offer": i.Offer, "sku": i.SKU, "version": i.Version}[level]
			names[strings.ToLower(name)] = name
		}
		if len(names) == 0 && level != "publisher" {
			return Response{}, arm.Errorf(arm.Missing, "NotFound", "Artifact: VMImage was not found. The image catalogue has nothing below '%s' in '%s'; see 'deskyard image list'.", req.HTTP.URL.Path, location)
		}
		out := []imagePart{} // a bare array, as Azure answers these lists
		for _, key := range sortedKeys(names) {
			out = append(out, imagePart{ID: strings.TrimRight(req.HTTP.URL.Path, "/") + "/" + names[key], Name: names[key], Location: location})
		}
		return Response{Body: out}, nil
	}
}

// below reports whether the image is below the publisher, offer, SKU and version that
// a path names.
func (i ImageInfo) below(vars map[string]string) bool {
	for name, value := range map[string]string{"publisher": i.Publisher, "offer": i.Offer, "sku": i.SKU, "version": i.Version} {
		if asked, named := vars[name]; named && !strings.EqualFold(asked, value) {
			return false
		}
	}
	return true
}

// getImageVersion answers one image of the catalogue.
func (s *Server) getImageVersion(ctx context.Context, req *Request) (Response, error) {
	location, err := s.checkLocation("locations", req.Vars["location"])
	if err != nil {
		return Response{}, err
	}
	images, err := s.imagesAt(ctx, location)
	if err != nil {
		return Response{}, err
	}
	for _, i := range images {
		if !i.below(req.Vars) {
			continue
		}
		system, generation := "Linux", "V2"
		if strings.EqualFold(i.OS, "windows") {
			system = "Windows"
		}
		if strings.EqualFold(i.Firmware, "bios") {
			generation = "V1"
		}
		return Response{Body: map[string]any{"id": req.HTTP.URL.Path, "name": i.Version, "location": location, "properties": map[string]any{
			"plan": nil, "dataDiskImages": []any{}, "hyperVGeneration": generation, "architecture": "x64",
			"osDiskImage":                  map[string]any{"operatingSystem": system, "sizeInBytes": i.DiskBytes, "sizeInGb": (i.DiskBytes + 1<<30 - 1) >> 30},
			"automaticOSUpgradeProperties": map[string]any{"automaticOSUpgradeSupported": false}}}}, nil
	}
	return Response{}, arm.Errorf(arm.Missing, "NotFound", "Artifact: VMImage was not found: the image catalogue has no '%s' in '%s'.", clip(req.HTTP.URL.Path), location)
}
