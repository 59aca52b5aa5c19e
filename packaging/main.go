// Command packaging builds what session hosts install: component archives for the
// boot loader, and Debian packages (and, where wixl is installed, Windows
// installers) of the agent and the boot loader.
//
//	go run . -version 1.2.3 -out ../dist
//
// The same version and source give the same files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// component is one program of a session host.
type component struct {
	name    string // as the boot loader knows it
	title   string // as people know it
	command string // folder below cmd, and the program's name
	args    []string
	windows []string // arguments on Windows, where they differ
	deb     bool     // installed by hand, so it has a package of its own
}

var all = []component{
	{name: "agent", title: "Infrastructure Agent", command: "deskyard-agent", args: []string{"run"}, windows: windowsAgent, deb: true},
	{name: "bootloader", title: "Boot Loader", command: "deskyard-bootloader", args: []string{"run"}, deb: true},
	{name: "sxs-stack", title: "SxS Network Stack", command: "deskyard-sxs"},
	{name: "monitoring-agent", title: "Monitoring Agent", command: "deskyard-monitor"},
}

// windowsAgent tells the agent the places that the boot loader for Windows uses.
var windowsAgent = []string{
	"-state", `C:\ProgramData\Deskyard\agent.json`, "-key", `C:\ProgramData\Deskyard\registration-token`,
	"-status", `C:\ProgramData\Deskyard\run\agent-status.json`, "-bootloader", `C:\ProgramData\Deskyard\run\bootloader.sock`, "run",
}

// build is what one run of this program makes.
type build struct {
	version string
	out     string // folder of the results
	work    string // folder of what is in between
	root    string // the repository
}

// A version is part of file and folder names here, in dpkg and in the boot loader.
var versionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+){1,3}([.~+-][0-9A-Za-z.]+)?$`)

func main() {
	version := flag.String("version", "", "version of the packages, such as 1.2.3")
	out := flag.String("out", "../dist", "folder for the packages")
	arches := flag.String("arch", "amd64,arm64", "architectures, separated by commas")
	only := flag.String("only", "", "components, separated by commas; empty for all")
	windows := flag.Bool("windows", false, "also build for Windows (installers where wixl is found)")
	flag.Parse()
	if err := run(*version, *out, *arches, *only, *windows); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(version, out, arches, only string, windows bool) error {
	if !versionForm.MatchString(version) {
		return fmt.Errorf("-version %q is not a version such as 1.2.3 or 1.3.0-rc.1", version)
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "deskyard-packaging-")
	if err != nil {
		return fmt.Errorf("make work folder: %w", err)
	}
	defer os.RemoveAll(work)
	if out, err = filepath.Abs(out); err != nil {
		return fmt.Errorf("find output folder: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("make output folder: %w", err)
	}
	b := build{version: version, out: out, work: work, root: root}
	var errs []error
	for _, c := range all {
		if only != "" && !strings.Contains(","+only+",", ","+c.name+",") {
			continue
		}
		for _, arch := range strings.FieldsFunc(arches, func(r rune) bool { return r == ',' }) {
			errs = append(errs, b.linux(c, arch))
		}
		if windows {
			errs = append(errs, b.windows(c))
		}
	}
	return errors.Join(errs...)
}

// moduleRoot is the repository's root, found from this module's place in it.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/deskyard/deskyard").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository (run this in its packaging folder): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (b build) linux(c component, arch string) error {
	program, err := b.compile(c, "linux", arch)
	if err != nil {
		return err
	}
	manifest, err := b.archive(c, "linux", arch, program)
	if err != nil {
		return err
	}
	if !c.deb {
		return nil
	}
	return b.debian(c, arch, program, manifest)
}

// compile cross-compiles a program without cgo, so that it runs on every Linux.
func (b build) compile(c component, goos, arch string) (string, error) {
	program := filepath.Join(b.work, goos, arch, c.command)
	if goos == "windows" {
		program += ".exe"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+b.version, "-o", program, "./cmd/"+c.command)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+arch, "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s for %s/%s: %w\n%s", c.command, goos, arch, err, out)
	}
	return program, nil
}

// done tells of a finished file.
func done(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("look at result: %w", err)
	}
	fmt.Printf("%s\t%.1f MB\n", file, float64(info.Size())/1e6)
	return nil
}
