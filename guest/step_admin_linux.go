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

// adminScript names the machine ($1) and makes its administrator ($2); either may be
// empty. The password comes first on its input, a line, which may be empty too; the rest
// is SSH keys. It is one script, for each is a unit of systemd's own, and calls as few
// programs as it can: those that change accounts flush several files each.
//
// hostnamectl needs a bus that a small image may lack, so the files are what counts. The
// administrator may do everything after giving the password again; one that is there
// keeps its home.
const adminScript = `set -eu
if [ -n "$1" ]; then
	printf '%s\n' "$1" >/etc/hostname
	hostname "$1"
	sed -i '/^127\.0\.1\.1[[:space:]]/d' /etc/hosts
	printf '127.0.1.1\t%s\n' "$1" >>/etc/hosts
fi
[ -n "$2" ] || exit 0
IFS= read -r password
if id -u "$2" >/dev/null 2>&1; then usermod -aG sudo "$2"; else useradd --create-home --shell /bin/bash --groups sudo "$2"; fi
if [ -n "$password" ]; then printf '%s:%s\n' "$2" "$password" | chpasswd; fi
if IFS= read -r key; then
	home=$(getent passwd "$2" | cut -d: -f6)
	install -d -m 0700 -o "$2" -g "$2" "$home/.ssh"
	{ printf '%s\n' "$key" && cat; } >"$home/.ssh/authorized_keys"
	chown "$2:$2" "$home/.ssh/authorized_keys"
	chmod 0600 "$home/.ssh/authorized_keys"
fi
`

// Run does it; doing it again changes nothing but the password.
func (a AdminStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings adminSettings
	var secrets adminSecrets
	if err := decodeStep(s, &settings, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if o := settings.check(secrets.Password); o.Code != "" {
		return o
	}
	if settings.NoPassword {
		secrets.Password = ""
	}
	var in strings.Builder
	in.WriteString(secrets.Password + "\n")
	for _, k := range settings.PublicKeys {
		in.WriteString(strings.TrimSpace(k.Data) + "\n")
	}
	user := settings.AdminUser
	if secrets.Password == "" && len(settings.PublicKeys) == 0 {
		user = "" // nobody could sign in as that
	}
	o := shellOutcome(ctx, a.Runner, in.String(), adminScript, settings.ComputerName, user)
	if secrets.Password != "" {
		o.Output, o.Message = strike(o.Output, secrets.Password), strike(o.Message, secrets.Password)
	}
	return o
}

// check refuses what must not become part of a command or of its input.
func (s *adminSettings) check(password string) Outcome {
	switch {
	case s.ComputerName != "" && !hostForm.MatchString(s.ComputerName):
		return Failed("InvalidParameter", "The computer name %q is not a host name.", s.ComputerName)
	case s.AdminUser != "" && !userForm.MatchString(s.AdminUser):
		return Failed("InvalidParameter", "The administrator's name %q cannot be a user of this system: letters, digits, '_', '.' and '-', at most 32.", s.AdminUser)
	case strings.ContainsAny(password, "\r\n\x00"):
		return Failed("InvalidParameter", "The administrator's password must not contain a line break.")
	}
	return Outcome{}
}

// shellOutcome runs a script with arguments; what is secret comes over its input.
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
