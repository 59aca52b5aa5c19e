package yard

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deskyard/deskyard/e2e/service"
)

// Names of what Desk makes.
const (
	Desktops  = "desk" // the application group
	Workspace = "work"
)

// userRoles are what a user of a desktop has: to be offered it, and to sign in with a
// password to a machine that joined the directory, as in Azure.
var userRoles = []string{"Desktop Virtualization User", "Virtual Machine User Login"}

// Desk gives a new user the pool's desktop, the way the README does: an application
// group, a workspace, a user with a password that is told once, and roles.
func (y *Yard) Desk(ctx context.Context, upn string) (service.Person, error) {
	if _, err := y.CLI(ctx, nil, "applicationgroup", "create", "-g", Group, "-n", Desktops, "--application-group-type", "Desktop",
		"--friendly-name", "Desktop", "--host-pool-arm-path", y.ID("Microsoft.DesktopVirtualization/hostPools/"+Pool)); err != nil {
		return service.Person{}, err
	}
	group := y.ID("Microsoft.DesktopVirtualization/applicationGroups/" + Desktops)
	if _, err := y.CLI(ctx, nil, "workspace", "create", "-g", Group, "-n", Workspace, "--friendly-name", "Workspace", "--application-group-references", group); err != nil {
		return service.Person{}, err
	}
	out, err := y.CLI(ctx, nil, "user", "create", "--upn", upn, "-o", "json")
	if err != nil {
		return service.Person{}, err
	}
	var made struct{ PasswordProfile struct{ Password string } }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.PasswordProfile.Password == "" {
		return service.Person{}, fmt.Errorf("read what user create answered: no password in it, %v", err)
	}
	for _, role := range userRoles {
		if _, err := y.CLI(ctx, nil, "role", "assignment", "create", "--assignee", upn, "--role", role, "--scope", y.GroupID()); err != nil {
			return service.Person{}, err
		}
	}
	return y.Client.Person(upn, made.PasswordProfile.Password), nil
}
