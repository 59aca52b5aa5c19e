package yard

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deskyard/deskyard/e2e/service"
)

// Desktops is the application group that Desk makes.
const Desktops = "desk"

// Desk gives a new user the pool's desktop, the way the README does: an application
// group, a workspace, a user with a password that is told once, and roles.
func (y *Yard) Desk(ctx context.Context, upn string) (service.Person, error) {
	group, err := y.applicationGroup(ctx, Desktops, "Desktop")
	if err != nil {
		return service.Person{}, err
	}
	return y.user(ctx, upn, group)
}

// Application gives a new user one program of the pool, and no desktop.
func (y *Yard) Application(ctx context.Context, upn, name, program string) (service.Person, error) {
	group, err := y.applicationGroup(ctx, "apps", "RemoteApp")
	if err != nil {
		return service.Person{}, err
	}
	if _, err := y.CLI(ctx, nil, "application", "create", "-g", Group, "--application-group-name", "apps", "-n", name, "--friendly-name", name,
		"--file-path", program, "--command-line-setting", "DoNotAllow"); err != nil {
		return service.Person{}, err
	}
	return y.user(ctx, upn, group)
}

// applicationGroup makes one, in a workspace of its own.
func (y *Yard) applicationGroup(ctx context.Context, name, kind string) (id string, err error) {
	if _, err := y.CLI(ctx, nil, "applicationgroup", "create", "-g", Group, "-n", name, "--application-group-type", kind,
		"--friendly-name", name, "--host-pool-arm-path", y.ID("Microsoft.DesktopVirtualization/hostPools/"+Pool)); err != nil {
		return "", err
	}
	id = y.ID("Microsoft.DesktopVirtualization/applicationGroups/" + name)
	_, err = y.CLI(ctx, nil, "workspace", "create", "-g", Group, "-n", name+"-work", "--friendly-name", "Workspace", "--application-group-references", id)
	return id, err
}

// user makes a user who is offered what an application group holds, and who may sign in
// with a password to machines that joined the directory: two roles, as in Azure.
func (y *Yard) user(ctx context.Context, upn, group string) (service.Person, error) {
	out, err := y.CLI(ctx, nil, "user", "create", "--upn", upn, "-o", "json")
	if err != nil {
		return service.Person{}, err
	}
	var made struct{ PasswordProfile struct{ Password string } }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.PasswordProfile.Password == "" {
		return service.Person{}, fmt.Errorf("read what user create answered: no password in it, %v", err)
	}
	for role, scope := range map[string]string{"Desktop Virtualization User": group, "Virtual Machine User Login": y.GroupID()} {
		if _, err := y.CLI(ctx, nil, "role", "assignment", "create", "--assignee", upn, "--role", role, "--scope", scope); err != nil {
			return service.Person{}, err
		}
	}
	return y.Client.Person(upn, made.PasswordProfile.Password), nil
}
