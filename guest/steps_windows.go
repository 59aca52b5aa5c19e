package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard"
)

// What follows was built and vetted, and never run: there was no Windows to run it on.

// AdminStep gives the machine its name and its local administrator.
type AdminStep struct{ Runner Runner }

// DomainStep joins the machine to an Active Directory domain.
type DomainStep struct{ Runner Runner }

// DirectoryStep joins the machine to the service's own directory.
type DirectoryStep struct{ Runner Runner }

// ReleaseStep takes the machine out of its domain before it is removed.
type ReleaseStep struct{ Runner Runner }

// power runs a PowerShell script whose secrets come over its input, line by line.
func power(ctx context.Context, r Runner, stdin, script string) Outcome {
	out, exit, err := r.Run(ctx, stdin, "powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command",
		"$ErrorActionPreference='Stop'; $lines=@($input); "+script)
	switch {
	case err != nil:
		return Outcome{ExitCode: exit, Output: out, Code: "StepNotRun", Message: err.Error()}
	case exit != 0:
		return Outcome{ExitCode: exit, Output: out, Code: "StepFailed", Message: "PowerShell ended with an error: " + strings.TrimSpace(tail(out, 500))}
	}
	return Outcome{Output: out}
}

// Run makes the administrator. The computer's name is cloudbase-init's to set, which
// restarts the machine for it.
func (a AdminStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings struct {
		User string `json:"adminUsername"`
	}
	var secrets struct {
		Password string `json:"adminPassword"`
	}
	if err := decodeStep(s, &settings, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if settings.User == "" || secrets.Password == "" {
		return Outcome{}
	}
	o := power(ctx, a.Runner, settings.User+"\n"+secrets.Password+"\n",
		`$p=ConvertTo-SecureString $lines[1] -AsPlainText -Force; `+
			`if (Get-LocalUser -Name $lines[0] -ErrorAction SilentlyContinue) { Set-LocalUser -Name $lines[0] -Password $p } else { New-LocalUser -Name $lines[0] -Password $p | Out-Null }; `+
			`$g=Get-LocalGroup -SID 'S-1-5-32-544'; if (-not (Get-LocalGroupMember -Group $g | Where-Object Name -like ('*\'+$lines[0]))) { Add-LocalGroupMember -Group $g -Member $lines[0] }`)
	o.Output, o.Message = strike(o.Output, secrets.Password), strike(o.Message, secrets.Password)
	return o
}

// Run joins with Add-Computer; the join takes effect with the restart that the
// extension asks for.
func (d DomainStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings struct {
		Name    string `json:"name"`
		OU      string `json:"ouPath"`
		User    string `json:"user"`
		Restart string `json:"restart"`
	}
	var secrets struct {
		Password string `json:"password"`
	}
	if err := decodeStep(s, &settings, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	input := strings.Join([]string{settings.Name, settings.OU, settings.User, secrets.Password}, "\n") + "\n"
	o := power(ctx, d.Runner, input,
		`$c=New-Object System.Management.Automation.PSCredential($lines[2],(ConvertTo-SecureString $lines[3] -AsPlainText -Force)); `+
			`$a=@{DomainName=$lines[0];Credential=$c;Force=$true}; if ($lines[1]) { $a.OUPath=$lines[1] }; Add-Computer @a`)
	o.Output, o.Message = strike(o.Output, secrets.Password), strike(o.Message, secrets.Password)
	if o.Code == "" && strings.EqualFold(settings.Restart, "true") {
		return power(ctx, d.Runner, "", `shutdown.exe /r /t 15 /c "joined the domain" | Out-Null`)
	}
	return o
}

// Run writes the tenant down where the agent looks for it.
func (d DirectoryStep) Run(_ context.Context, s deskyard.Step) Outcome {
	var settings struct {
		Tenant string `json:"tenantId"`
	}
	if err := decodeStep(s, &settings, nil); err != nil || settings.Tenant == "" {
		return Failed("InvalidSettings", "The service did not say which tenant to join.")
	}
	path := filepath.Join(os.Getenv("ProgramData"), "Deskyard", "tenant")
	if err := os.WriteFile(path, []byte(settings.Tenant+"\r\n"), 0o600); err != nil {
		return Failed("StepFailed", "write down the tenant: %v", err)
	}
	return Outcome{}
}

// Run leaves the domain; without an account the computer's object stays, disabled by
// the domain when it ages.
func (r ReleaseStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var secrets struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	if err := decodeStep(s, nil, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if secrets.Password == "" {
		return Outcome{Output: "No account was given to leave the domain with; the computer's object stays."}
	}
	o := power(ctx, r.Runner, secrets.User+"\n"+secrets.Password+"\n",
		`Remove-Computer -UnjoinDomainCredential (New-Object System.Management.Automation.PSCredential($lines[0],(ConvertTo-SecureString $lines[1] -AsPlainText -Force))) -Force`)
	o.Output, o.Message = strike(o.Output, secrets.Password), strike(o.Message, secrets.Password)
	return o
}

func scriptShell() (line []string, suffix string) {
	return []string{"powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"}, ".ps1"
}

func scriptFolder() (string, error) {
	dir := filepath.Join(os.Getenv("ProgramData"), "Deskyard", "steps")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", dir, err)
	}
	return dir, nil
}
