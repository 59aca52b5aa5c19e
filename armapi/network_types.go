package armapi

import (
	"net/http"

	"github.com/deskyard/deskyard"
)

const networkNamespace = "Microsoft.Network"

// networkVersions are the api-versions of Microsoft.Network that clients are told of.
var networkVersions = []string{
	"2015-06-15", "2017-10-01", "2018-11-01", "2019-02-01", "2020-11-01", "2021-08-01", "2022-01-01", "2022-05-01", "2022-07-01", "2022-11-01",
	"2023-04-01", "2023-09-01", "2023-11-01", "2024-01-01", "2024-05-01", "2025-01-01",
}

// networkTypes are the rows of Microsoft.Network.
func (s *Server) networkTypes() []ResourceType {
	rows := []ResourceType{
		s.virtualNetworkType(), s.subnetParts().resourceType(), s.networkInterfaceType(), s.securityGroupType(), s.ruleParts().resourceType(),
		defaultRulesType(s),
	}
	for i := range rows {
		row := &rows[i]
		row.Namespace, row.Versions, row.AnyVersion, row.Sparse = networkNamespace, networkVersions, true, true
		row.Name = NameRule{Min: 1, Max: 80, Pattern: networkName}
	}
	return rows
}

func (s *Server) virtualNetworkType() ResourceType {
	const at = networkNamespace + "/virtualNetworks"
	return ResourceType{
		Path: "virtualNetworks", Tracked: true, Verbs: machineVerbs,
		New:         func() Model { return new(deskyard.VirtualNetwork) },
		BeforeWrite: s.beforeNetwork, BeforeDelete: s.networkUnused, AfterCommit: s.networkChanged, Linked: linkedOf, Render: s.renderNetworks,
		Actions: []Action{
			{Method: http.MethodGet, Path: "CheckIPAddressAvailability", Permission: at + "/read", Handle: s.checkAddress},
			{Method: http.MethodGet, Path: "usages", Permission: at + "/usages/read", Handle: s.networkUsages},
		},
	}
}

func (s *Server) networkInterfaceType() ResourceType {
	return ResourceType{
		Path: "networkInterfaces", Tracked: true, Verbs: machineVerbs,
		New:         func() Model { return new(deskyard.NetworkInterface) },
		BeforeWrite: s.beforeNIC, BeforeDelete: s.unusedBy(deskyard.RelationNIC, "NicInUse", "virtual machine"),
		AfterCommit: s.nicChanged, Linked: linkedOf, Render: s.renderNICs,
	}
}

func (s *Server) securityGroupType() ResourceType {
	return ResourceType{
		Path: "networkSecurityGroups", Tracked: true, Verbs: machineVerbs,
		New:         func() Model { return new(deskyard.SecurityGroup) },
		BeforeWrite: beforeSecurityGroup, BeforeDelete: s.unusedBy(deskyard.RelationSecurityGroup, "InUseNetworkSecurityGroupCannotBeDeleted", "resource"),
		AfterCommit: s.securityGroupChanged, Render: s.renderSecurityGroups,
	}
}

// networkDoors are the paths of Microsoft.Network that name no resource.
func (s *Server) networkDoors() []Door {
	return []Door{{Method: http.MethodGet, Path: "/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/usages",
		Permission: networkNamespace + "/locations/usages/read", Handle: s.listNetworkUsages}}
}
