//go:build e2e

// Package terraform runs Terraform or OpenTofu with the provider azurerm, both unmodified,
// against a service.
package terraform

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
)

// Tools are the programs that a test needs.
type Tools struct {
	program  string // terraform or tofu
	provider string // the folder of terraform-provider-azurerm
}

// Find finds the tools, and skips the test where one is missing: Terraform or OpenTofu in
// PATH, and the provider, of which DESKYARD_AZURERM is the path.
func Find(t *testing.T) Tools {
	t.Helper()
	provider, err := filepath.Abs(os.Getenv("DESKYARD_AZURERM"))
	if info, statErr := os.Stat(provider); err != nil || statErr != nil || !info.Mode().IsRegular() {
		t.Skip("needs the provider azurerm: e2e/terraform/run builds it, or DESKYARD_AZURERM is the path of terraform-provider-azurerm")
	}
	for _, name := range []string{"terraform", "tofu"} {
		if program, err := exec.LookPath(name); err == nil {
			return Tools{program, filepath.Dir(provider)}
		}
	}
	t.Skip("needs terraform or tofu in PATH")
	return Tools{}
}

// Folder is a working folder, whose commands go to one service.
type Folder struct {
	t            *testing.T
	program, dir string
	env          []string
}

// Open makes a working folder of the test's own with main.tf. The commands' environment is
// what docs/azure-tools.md says, and nothing of the test's but PATH.
func Open(t *testing.T, tools Tools, b service.Bootstrap, text string, variables map[string]string) *Folder {
	t.Helper()
	f := &Folder{t: t, program: tools.program, dir: t.TempDir()}
	endpoint, err := url.Parse(b.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(f.dir, "settings.tfrc")
	for path, content := range map[string]string{
		settings:                        fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  dev_overrides {\n    \"hashicorp/azurerm\" = %q\n  }\n}\n", tools.provider),
		filepath.Join(f.dir, "main.tf"): text,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "TF_IN_AUTOMATION=1", "TF_CLI_CONFIG_FILE=" + settings,
		"ARM_METADATA_HOSTNAME=" + endpoint.Host, "ARM_SUBSCRIPTION_ID=" + b.SubscriptionID, "ARM_TENANT_ID=" + b.TenantID, "ARM_CLIENT_ID=" + b.ClientID,
		"ARM_CLIENT_SECRET=" + b.ClientSecret, "ARM_RESOURCE_PROVIDER_REGISTRATIONS=none", "SSL_CERT_FILE=" + b.CAFile,
	}
	for name, value := range variables {
		f.env = append(f.env, "TF_VAR_"+name+"="+value)
	}
	return f
}

// Apply makes what the text says, with a later value of a variable where set names one
// ("name=value").
func (f *Folder) Apply(ctx context.Context, set ...string) error {
	_, err := f.run(ctx, "apply", append([]string{"-auto-approve"}, assignments(set)...)...)
	return err
}

// Changes is what a new plan would change: nothing where it is empty.
func (f *Folder) Changes(ctx context.Context, set ...string) (string, error) {
	out, err := f.run(ctx, "plan", append([]string{"-detailed-exitcode"}, assignments(set)...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 2 {
		return out, nil
	}
	return "", err
}

// Destroy takes away what was made.
func (f *Folder) Destroy(ctx context.Context) error {
	_, err := f.run(ctx, "destroy", "-auto-approve")
	return err
}

func assignments(set []string) []string {
	var args []string
	for _, s := range set {
		args = append(args, "-var", s)
	}
	return args
}

func (f *Folder) run(ctx context.Context, command string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, f.program, append([]string{command, "-no-color", "-input=false"}, args...)...)
	cmd.Dir, cmd.Env = f.dir, f.env
	began := time.Now()
	out, err := cmd.CombinedOutput()
	f.t.Logf("%s %s: %.1f s", filepath.Base(f.program), command, time.Since(began).Seconds())
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(f.program), command, err, out)
	}
	return string(out), nil
}
