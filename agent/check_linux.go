package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard"
)

// StandardChecks are the health checks of a Linux session host.
func StandardChecks(stack Stack, monitor Monitor) []Check {
	return append([]Check{
		{deskyard.CheckDomainJoined, checkJoined("/")},
		{deskyard.CheckDomainTrust, checkTrust("/")},
	}, commonChecks(stack, monitor)...)
}

// checkJoined: users of the service's own directory can sign in to a machine that
// is in none, so only a service that wants a directory makes that a failure.
func checkJoined(root string) func(context.Context, Surroundings) Finding {
	return func(_ context.Context, s Surroundings) Finding {
		d := findDirectory(root)
		switch {
		case d.realm != "":
			return Finding{Message: "Joined to " + d.realm + " through " + d.by + "."}
		case s.Directory:
			return Finding{Failed: true, Message: "The machine is not joined to a directory, and the service wants it to be. Join it, for instance with: realm join DOMAIN."}
		}
		return Finding{Message: "Not joined: the pool uses the service's own directory."}
	}
}

// checkTrust proves the machine account: by adcli where it is installed, else that
// there is a keytab with keys.
func checkTrust(root string) func(context.Context, Surroundings) Finding {
	return func(ctx context.Context, _ Surroundings) Finding {
		d := findDirectory(root)
		if d.realm == "" {
			return Finding{Message: "Not joined: there is no trust to lose."}
		}
		if err := readableKeytab(filepath.Join(root, "etc/krb5.keytab")); err != nil {
			return Finding{Failed: true, Message: fmt.Sprintf("The machine account has no keys: %v. Join the machine to %s again.", err, d.realm)}
		}
		adcli, err := exec.LookPath("adcli")
		if err != nil {
			return Finding{Message: "The machine account has keys for " + d.realm + "; adcli is not installed, so they were not tried."}
		}
		out, err := exec.CommandContext(ctx, adcli, "testjoin", "--domain="+d.realm).CombinedOutput()
		if err != nil {
			return Finding{Failed: true, Code: 2, Message: fmt.Sprintf("%s does not accept the machine account: %s (%v). Join the machine again.", d.realm, strings.TrimSpace(clip(string(out), 400)), err)}
		}
		return Finding{Message: d.realm + " accepts the machine account."}
	}
}

// readableKeytab checks for a keytab's magic number and at least one entry.
func readableKeytab(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [6]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return fmt.Errorf("the keytab %s is empty", path)
	}
	if head[0] != 5 || head[1] != 1 && head[1] != 2 {
		return errors.New("the file " + path + " is not a keytab")
	}
	return nil
}
