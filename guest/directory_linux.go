package guest

import (
	"context"
	"strings"

	"github.com/deskyard/deskyard"
)

// DirectoryStep joins the machine to the service's own directory, as
// AADLoginForWindows joins it to Microsoft Entra ID: the machine says from then on
// that it is of that tenant.
type DirectoryStep struct{ Runner Runner }

type directorySettings struct {
	Tenant string `json:"tenantId"`
	MDM    string `json:"mdmId"`
}

// directoryScript writes the tenant down where the agent looks for it.
const directoryScript = `set -eu
umask 022
mkdir -p /etc/deskyard
printf '%s\n' "$1" >/etc/deskyard/tenant.new
mv /etc/deskyard/tenant.new /etc/deskyard/tenant
`

// Run joins.
func (d DirectoryStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings directorySettings
	if err := decodeStep(s, &settings, nil); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if settings.Tenant == "" || strings.ContainsAny(settings.Tenant, " \n'") {
		return Failed("InvalidSettings", "The service did not say which tenant to join.")
	}
	if settings.MDM != "" {
		return Failed("NotSupported", "There is no counterpart of Intune to enrol in. Leave intune off.")
	}
	return shellOutcome(ctx, d.Runner, "", directoryScript, settings.Tenant)
}
