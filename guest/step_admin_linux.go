package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/deskyard/deskyard"
)

// AdminStep gives the machine its name and its local administrator.
type AdminStep struct {
	Runner Runner
}

type adminSettings struct {
	ComputerName string `json:"computerName"`
	AdminUser    string `json:"adminUsername"`
	NoPassword   bool   `json:"disablePasswordAuthentication"`
	TimeZone     string `json:"timeZone"`
	PublicKeys   []struct {
		Data string `json:"keyData"`
	} `json:"publicKeys"`
}

type adminSecrets struct {
	Password string `json:"adminPassword"`
}

// What may become part of a command: nothing that a shell, useradd or chpasswd takes
// for more than a name.
var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$`)
	userForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)
)

// nameScript names the machine now and for good. hostnamectl needs a bus that a small
// image may lack, so the files are what counts.
const nameScript = `set -eu
printf '%s\n' "$1" >/etc/hostname
hostname "$1"
sed -i '/^127\.0\.1\.1[[:space:]]/d' /etc/hosts
printf '127.0.1.1\t%s\n' "$1" >>/etc/hosts
`

// userScript makes the administrator, who may do everything after giving the password
// again. A user that is there keeps its home.
const userScript = `set -eu
id -u "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$1"
usermod -aG sudo "$1"
chpasswd
`

// keyScript gives the administrator SSH keys instead of, or beside, the password.
const keyScript = `set -eu
id -u "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$1"
usermod -aG sudo "$1"
home=$(getent passwd "$1" | cut -d: -f6)
install -d -m 0700 -o "$1" -g "$1" "$home/.ssh"
cat >"$home/.ssh/authorized_keys"
chown "$1:$1" "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"
`

// Run does it; doing it again changes nothing but the password.
func (a AdminStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings adminSettings
	var secrets adminSecrets
	if err := decodeStep(s, &settings, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if settings.ComputerName != "" {
		if !hostForm.MatchString(settings.ComputerName) {
			return Failed("InvalidParameter", "The computer name %q is not a host name.", settings.ComputerName)
		}
		if o := a.shell(ctx, "", nameScript, settings.ComputerName); o.Code != "" {
			return o
		}
	}
	if settings.AdminUser == "" {
		return Outcome{}
	}
	if !userForm.MatchString(settings.AdminUser) {
		return Failed("InvalidParameter", "The administrator's name %q cannot be a user of this system: letters, digits, '_', '.' and '-', at most 32.", settings.AdminUser)
	}
	if len(settings.PublicKeys) > 0 {
		var keys strings.Builder
		for _, k := range settings.PublicKeys {
			keys.WriteString(strings.TrimSpace(k.Data) + "\n")
		}
		if o := a.shell(ctx, keys.String(), keyScript, settings.AdminUser); o.Code != "" {
			return o
		}
	}
	if settings.NoPassword || secrets.Password == "" {
		return Outcome{}
	}
	if strings.ContainsAny(secrets.Password, "\r\n\x00") {
		return Failed("InvalidParameter", "The administrator's password must not contain a line break.")
	}
	o := a.shell(ctx, settings.AdminUser+":"+secrets.Password+"\n", userScript, settings.AdminUser)
	o.Output, o.Message = strike(o.Output, secrets.Password), strike(o.Message, secrets.Password)
	return o
}

// shell runs a script with one argument; what is secret comes over its input.
func (a AdminStep) shell(ctx context.Context, stdin, script, arg string) Outcome {
	return shellOutcome(ctx, a.Runner, stdin, script, arg)
}

func shellOutcome(ctx context.Context, r Runner, stdin, script string, args ...string) Outcome {
	out, exit, err := r.Run(ctx, stdin, "/bin/sh", append([]string{"-c", script, "deskyard"}, args...)...)
	switch {
	case err != nil:
		return Outcome{ExitCode: exit, Output: out, Code: "StepNotRun", Message: err.Error()}
	case exit != 0:
		return Outcome{ExitCode: exit, Output: out, Code: "StepFailed", Message: "A program of the system ended with an error: " + lastLine(out)}
	}
	return Outcome{Output: out}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// scriptShell runs scripts.
func scriptShell() (line []string, suffix string) { return []string{"/bin/sh"}, ".sh" }

// scriptFolder is where steps that run as units of their own find their files.
func scriptFolder() (string, error) {
	dir := "/run/deskyard/steps"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", filepath.Clean(dir), err)
	}
	return dir, nil
}
