package guest

import (
	"context"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/signon"
)

// DirectoryStep joins the machine to the service's own directory, as
// AADLoginForWindows joins it to Microsoft Entra ID: the machine says from then on
// that it is of that tenant, and people of the directory whom a role lets in sign in
// to it with their user principal name and password.
type DirectoryStep struct{ Runner Runner }

type directorySettings struct {
	Tenant string `json:"tenantId"`
	MDM    string `json:"mdmId"`
}

// directoryScript brings PAM's hook, where the boot loader's package did not, and writes
// the tenant down where the boot loader and the agent look for it.
const directoryScript = `set -eu
umask 022
if [ ! -e "$2" ] && command -v pam-auth-update >/dev/null; then
	mkdir -p "${2%/*}"
	cat >"$2"
	pam-auth-update --package
fi
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
	return shellOutcome(ctx, d.Runner, signon.PAMProfile, directoryScript, settings.Tenant, signon.PAMProfilePath)
}
