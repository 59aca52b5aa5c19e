// Package az drives Debian's azure-cli, unmodified, against a running service, for
// the demo and the end-to-end tests.
package az

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard/e2e/service"
)

// CLI is an azure-cli with a configuration of its own that is logged in to the service.
type CLI struct {
	dir  string
	boot service.Bootstrap
}

// ErrMissing is answered by Login where azure-cli is not installed.
var ErrMissing = errors.New("az is not installed: apt-get install azure-cli")

// Login registers the service as a cloud and logs in as its first service principal.
// dir gets az's configuration, with tokens in it.
func Login(ctx context.Context, b service.Bootstrap, dir string) (*CLI, error) {
	if _, err := exec.LookPath("/usr/bin/az"); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	c := &CLI{dir: dir, boot: b}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make az's folder: %w", err)
	}
	cloud, err := json.Marshal(map[string]any{"endpoints": map[string]string{
		"resourceManager": b.Endpoint, "management": b.Endpoint, "activeDirectory": b.Endpoint + "/adfs",
		"activeDirectoryResourceId": b.Endpoint + "/", "activeDirectoryGraphResourceId": b.Endpoint + "/graph",
		"microsoftGraphResourceId": b.Endpoint + "/graph/", "vmImageAliasDoc": b.Endpoint + "/aliases.json",
	}})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "cloud.json")
	if err := os.WriteFile(file, cloud, 0o600); err != nil {
		return nil, fmt.Errorf("describe the cloud to az: %w", err)
	}
	for _, args := range [][]string{
		{"cloud", "register", "-n", "deskyard", "--cloud-config", "@" + file},
		{"cloud", "set", "-n", "deskyard"},
		{"login", "--service-principal", "-u", b.ClientID, "-p", b.ClientSecret, "--tenant", b.TenantID},
	} {
		if _, err := c.Run(ctx, args...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Error is a command that az ended with another status than 0.
type Error struct {
	Command string // group and verb, without what may be secret
	Said    string // the end of what az wrote
}

func (e *Error) Error() string { return "az " + e.Command + ": " + e.Said }

// Run runs one command and returns what it wrote to its output.
func (c *CLI) Run(ctx context.Context, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := c.command(ctx, args)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), &Error{name(args), lastLines(said.String(), 12) + " (" + err.Error() + ")"}
	}
	return out.String(), nil
}

// JSON runs one command and decodes its output.
func (c *CLI) JSON(ctx context.Context, into any, args ...string) error {
	out, err := c.Run(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("decode the output of az %s: %w", name(args), err)
	}
	return nil
}

func (c *CLI) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/az", args...)
	cmd.Env = append(os.Environ(), "AZURE_CONFIG_DIR="+c.dir, "AZURE_CORE_COLLECT_TELEMETRY=0",
		"AZURE_EXTENSION_USE_DYNAMIC_INSTALL=no", "AZURE_CORE_NO_COLOR=1", "REQUESTS_CA_BUNDLE="+c.boot.CAFile)
	return cmd
}

// name is a command up to its first option: all that may be told.
func name(args []string) string {
	for i, a := range args {
		if strings.HasPrefix(a, "-") {
			return strings.Join(args[:i], " ")
		}
	}
	return strings.Join(args, " ")
}

func lastLines(text string, n int) string {
	var lines []string
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
