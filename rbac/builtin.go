package rbac

import "github.com/deskyard/deskyard/arm"

// GUIDs of the built-in roles that the service itself refers to.
const (
	Owner                   = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	Contributor             = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	Reader                  = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	UserAccessAdministrator = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	DesktopUser             = "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63"
)

// Data actions that the service asks about.
const (
	UseApplications = "Microsoft.DesktopVirtualization/applicationGroups/useApplications/action"
	LogIn           = "Microsoft.Compute/virtualMachines/login/action"
	LogInAsAdmin    = "Microsoft.Compute/virtualMachines/loginAsAdmin/action"

	LogInHybrid        = "Microsoft.HybridCompute/machines/login/action"
	LogInHybridAsAdmin = "Microsoft.HybridCompute/machines/loginAsAdmin/action"
)

// BuiltIn are Azure's built-in roles that concern desktops and the machines that
// carry them, with Azure's ids, names and action strings as published in the
// documentation of Azure RBAC ("Azure built-in roles", categories Privileged,
// General, Compute and Hybrid). The mixed spelling of types is Azure's.
func BuiltIn() []RoleDefinition {
	roles := make([]RoleDefinition, len(builtIn))
	for i, r := range builtIn {
		roles[i] = RoleDefinition{
			GUID: r.guid, Name: r.name, Description: r.description,
			AssignableScopes: []arm.ResourceID{{}},
			Permissions: []Permission{{
				Actions: orEmpty(r.actions), NotActions: orEmpty(r.notActions),
				DataActions: orEmpty(r.dataActions), NotDataActions: []string{},
			}},
		}
	}
	return roles
}

type builtInRole struct {
	guid, name, description          string
	actions, notActions, dataActions []string
}

var builtIn = append(append(generalRoles, desktopRoles...), machineRoles...)

// contributorTail and readerTail end the actions of nearly every desktop role.
var (
	contributorTail = []string{
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.Support/*",
	}
	readerTail = []string{
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Resources/deployments/read",
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/read",
		"Microsoft.Support/*",
	}
)

var generalRoles = []builtInRole{
	{
		guid: Owner, name: "Owner",
		description: "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
		actions:     []string{"*"},
	},
	{
		guid: Contributor, name: "Contributor",
		description: "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage assignments in Azure Blueprints, or share image galleries.",
		actions:     []string{"*"},
		notActions: []string{
			"Microsoft.Authorization/*/Delete",
			"Microsoft.Authorization/*/Write",
			"Microsoft.Authorization/elevateAccess/Action",
			"Microsoft.Blueprint/blueprintAssignments/write",
			"Microsoft.Blueprint/blueprintAssignments/delete",
			"Microsoft.Compute/galleries/share/action",
			"Microsoft.Purview/consents/write",
			"Microsoft.Purview/consents/delete",
			"Microsoft.Resources/deploymentStacks/manageDenySetting/action",
			"Microsoft.Subscription/cancel/action",
			"Microsoft.Subscription/enable/action",
		},
	},
	{
		guid: Reader, name: "Reader",
		description: "View all resources, but does not allow you to make any changes.",
		actions:     []string{"*/read"},
	},
	{
		guid: UserAccessAdministrator, name: "User Access Administrator",
		description: "Lets you manage user access to Azure resources.",
		actions:     []string{"*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"},
	},
}

func with(tail []string, actions ...string) []string {
	return append(append([]string(nil), actions...), tail...)
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
