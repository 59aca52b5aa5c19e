// Package join is what an operator does by hand to make a machine a session host:
// put two packages on it and install them with the registration key. The
// end-to-end test and the demo share it.
package join

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard/e2e/guest"
)

// Packages are the two Debian packages of a session host.
type Packages struct{ Agent, BootLoader string }

// FindPackages returns the amd64 packages that `make packages` left in dist/packages.
func FindPackages(dist string) (Packages, error) {
	var p Packages
	for _, one := range []struct {
		name string
		path *string
	}{{"deskyard-agent", &p.Agent}, {"deskyard-bootloader", &p.BootLoader}} {
		found, err := filepath.Glob(filepath.Join(dist, one.name+"_*_amd64.deb"))
		if err != nil {
			return p, err
		}
		if len(found) == 0 {
			return p, fmt.Errorf("find the package %s: none in %s; run make packages", one.name, dist)
		}
		*one.path = newest(found)
	}
	return p, nil
}

// newest is the file changed last.
func newest(paths []string) string {
	best := paths[0]
	for _, p := range paths[1:] {
		a, errA := os.Stat(best)
		b, errB := os.Stat(p)
		if errA == nil && errB == nil && b.ModTime().After(a.ModTime()) {
			best = p
		}
	}
	return best
}

const keyFile = "/run/registration-key" // on a file system in memory

// Copy puts the packages on the machine.
func Copy(ctx context.Context, shell *guest.Shell, p Packages) error {
	for _, local := range []string{p.Agent, p.BootLoader} {
		f, err := os.Open(local)
		if err != nil {
			return fmt.Errorf("read a package: %w", err)
		}
		err = shell.Put(ctx, "/root/"+filepath.Base(local), f)
		f.Close()
		if err != nil {
			return fmt.Errorf("copy %s to the machine: %w", filepath.Base(local), err)
		}
	}
	return nil
}

// Install installs the copied packages, the agent's with the key in its environment
// as the documentation has it. The key travels over standard input, so that no
// command line shows it.
func Install(ctx context.Context, shell *guest.Shell, p Packages, key string) error {
	if err := shell.Put(ctx, keyFile, strings.NewReader(key)); err != nil {
		return fmt.Errorf("hand the key over: %w", err)
	}
	_, err := shell.Run(ctx, "REGISTRATIONTOKEN=$(cat "+keyFile+"); export REGISTRATIONTOKEN; rm "+keyFile+
		"; DEBIAN_FRONTEND=noninteractive dpkg -i /root/"+filepath.Base(p.Agent)+" >&2")
	if err != nil {
		return fmt.Errorf("install the agent: %w", err)
	}
	if _, err = shell.Run(ctx, "DEBIAN_FRONTEND=noninteractive dpkg -i /root/"+filepath.Base(p.BootLoader)+" >&2"); err != nil {
		return fmt.Errorf("install the boot loader: %w", err)
	}
	return nil
}

// KeyLeftBehind names the files of the machine that still hold the key, and the
// processes that have it in their environment: none, once it has joined.
func KeyLeftBehind(ctx context.Context, shell *guest.Shell, key string) (string, error) {
	if err := shell.Put(ctx, keyFile, strings.NewReader(key)); err != nil {
		return "", err
	}
	// grep ends with 1 when it finds nothing.
	out, err := shell.Run(ctx, "grep -rlaF -f "+keyFile+" /etc /opt /root /home /tmp /var /run/log /run/deskyard "+
		"/proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; rm "+keyFile)
	return strings.TrimSpace(out), err
}
