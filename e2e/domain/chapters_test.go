//go:build e2e

package domain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

const (
	madeFor = 12 * time.Minute // one guest under emulation on a busy machine
	// toldIn bounds the time from the join's begin until its failure is told.
	toldIn = 20 * time.Second
	// signInFor bounds the time from an RDP client's start until its session is
	// listed: SSSD, a home, the display server and a desktop, under emulation.
	signInFor = 3 * time.Minute
	lookEvery = 500 * time.Millisecond
)

// refused adds the host with a wrong password of the join account.
func (s *story) refused(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	wrong := filepath.Join(s.dir, "wrong")
	if err := os.WriteFile(wrong, []byte("not-"+s.passwords.joiner), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err := s.Add(ctx, nil, s.passwords.local, "--name-prefix", prefix, "--count", "1", "--image", s.image.URN(), "--size", size,
		"--vnet", yard.VNet, "--subnet", yard.Subnet, "--nsg", s.ID("Microsoft.Network/networkSecurityGroups/"+group), "--admin-user", admin,
		"--os-disk-type", "StandardSSD_LRS", "--directory", "ActiveDirectory", "--join-upn", joiner, "--join-password-file", wrong, "--ou", unit)
	if err == nil {
		t.Fatal("the run succeeded")
	}
	t.Logf("the run ended after %.1f s: %v", time.Since(start).Seconds(), err)
	if want := "The password of " + joinerName + "@" + realm + " is wrong."; !strings.Contains(err.Error(), want) {
		t.Errorf("the CLI does not say %q", want)
	}
	if strings.Contains(err.Error(), s.passwords.joiner) {
		t.Error("the CLI tells a password")
	}
	s.findRun(ctx, t)
	var extension struct {
		Properties struct {
			ProvisioningState string
			Error             struct{ Code, Message string }
		}
	}
	if err := s.Get(ctx, "Microsoft.Compute/virtualMachines/"+vm+"/extensions/joindomain", "2021-07-01", &extension); err != nil {
		t.Fatal(err)
	}
	if extension.Properties.ProvisioningState != "Failed" {
		t.Errorf("the extension is %+v", extension.Properties)
	}
	took, said := s.operation(ctx, t, "joindomain")
	if took > toldIn {
		t.Errorf("the join failed after %s", took)
	}
	if !strings.Contains(said, "LogonFailure") && !strings.Contains(said, "is wrong") {
		t.Errorf("the deployment's operation says %q", said)
	}
	t.Logf("the wrong password was told %.1f s after the join had begun", took.Seconds())
}

// findRun finds the deployment of the run.
func (s *story) findRun(ctx context.Context, t *testing.T) {
	t.Helper()
	var list struct{ Value []struct{ Name string } }
	if err := s.Get(ctx, "Microsoft.Resources/deployments", "2021-04-01", &list); err != nil || len(list.Value) != 1 {
		t.Fatalf("deployments: %+v, %v", list.Value, err)
	}
	s.run = list.Value[0].Name
}

// operation is how long a deployment's last operation on a resource took, and what it
// said.
func (s *story) operation(ctx context.Context, t *testing.T, name string) (time.Duration, string) {
	t.Helper()
	var list struct {
		Value []struct {
			Properties struct {
				Duration       string
				TargetResource struct{ ResourceName string }
				StatusMessage  json.RawMessage
			}
		}
	}
	if err := s.Get(ctx, "Microsoft.Resources/deployments/"+s.run+"/operations", "2021-04-01", &list); err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Value {
		if !strings.HasSuffix(o.Properties.TargetResource.ResourceName, "/"+name) {
			continue
		}
		took, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(o.Properties.Duration, "PT")))
		if err != nil {
			t.Fatalf("the operation took %q: %v", o.Properties.Duration, err)
		}
		return took, string(o.Properties.StatusMessage)
	}
	t.Fatalf("the deployment has no operation on %s: %+v", name, list.Value)
	return 0, ""
}

// misjoined deploys the run again with a unit that does not exist, and with a domain
// that nobody answers for: az tells each reason, and the run how to go on.
func (s *story) misjoined(t *testing.T) {
	ctx := yardtest.Deadline(t, 3*time.Minute)
	for _, c := range []struct{ parameter, value, says, next string }{
		{"ouPath", "OU=Nowhere," + base, "The organizational unit OU=Nowhere," + base + " does not exist in " + domainName + ".", "--parameters ouPath="},
		{"domain", "nowhere.example", "for the domain nowhere.example", "az deployment group create"},
	} {
		start := time.Now()
		err := s.redeploy(ctx, t, map[string]any{c.parameter: c.value})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Fatalf("%s %s: %v", c.parameter, c.value, err)
		}
		took, _ := s.operation(ctx, t, "joindomain")
		if took > toldIn {
			t.Errorf("%s %s: the join failed after %s", c.parameter, c.value, took)
		}
		out, err := s.CLI(ctx, nil, "sessionhost", "follow", "-g", yard.Group, "--host-pool-name", yard.Pool, "-n", s.run, "-o", "json")
		if told := fmt.Sprint(out, err); !strings.Contains(told, c.next) {
			t.Errorf("%s %s: the run does not say %q: %s", c.parameter, c.value, c.next, told)
		}
		t.Logf("%s %s was told %.1f s after the join had begun, %.1f s after az", c.parameter, c.value, took.Seconds(), time.Since(start).Seconds())
	}
}

// joined deploys the run again, as an administrator does who has found the right
// values: what stands stays.
func (s *story) joined(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	before, err := s.Processes()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.redeploy(ctx, t, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pool.Watch(ctx, host, "Available", nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s is Available %.1f s after the last deployment's begin", host, time.Since(start).Seconds())
	if after, err := s.Processes(); err != nil || len(after) != 1 || len(before) != 1 || after[0] != before[0] {
		t.Errorf("the machine was\n%s\nand is\n%s (%v)", before, after, err)
	}
	s.checks(ctx, t)
}

// redeploy deploys the template of the run as the first deployment left it, with what
// no template tells and what changes.
func (s *story) redeploy(ctx context.Context, t *testing.T, changes map[string]any) error {
	t.Helper()
	if s.template == "" {
		text, err := s.Az.Run(ctx, "deployment", "group", "export", "-g", yard.Group, "-n", s.run)
		if err != nil {
			t.Fatal(err)
		}
		s.template = filepath.Join(s.dir, "run.json")
		if err := os.WriteFile(s.template, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := s.Pool.Key(ctx)
	if err != nil {
		t.Fatal(err)
	}
	parameters := map[string]any{"adminPassword": s.passwords.local, "joinPassword": s.passwords.joiner, "hostPoolToken": key}
	maps.Copy(parameters, changes)
	start := time.Now()
	return s.Deploy(ctx, s.run, s.template, parameters, func(o yard.Operation) {
		t.Logf("%6.1f s  %s: %s %s", time.Since(start).Seconds(), o.Resource, o.State, o.Error)
	})
}

// checks looks at the host's health checks that the domain decides.
func (s *story) checks(ctx context.Context, t *testing.T) {
	t.Helper()
	h, err := s.Pool.Host(ctx, host)
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, c := range h.Properties.SessionHostHealthCheckResults {
		results[c.HealthCheckName] = c.HealthCheckResult + " " + c.AdditionalFailureDetails.Message
		if c.HealthCheckResult != "HealthCheckSucceeded" {
			t.Errorf("%s: %s", c.HealthCheckName, results[c.HealthCheckName])
		}
	}
	if !strings.Contains(results["DomainJoinedCheck"], realm) || !strings.Contains(results["DomainTrustCheck"], realm) {
		t.Errorf("the checks say %q", results)
	}
}

// inDirectory looks for the computer's account, and for the user on the machine.
func (s *story) inDirectory(t *testing.T) {
	ctx := yardtest.Deadline(t, 2*time.Minute)
	found, err := s.dc.search(ctx, unit, "(objectClass=computer)", "sAMAccountName", "dNSHostName", "operatingSystem", "servicePrincipalName")
	if err != nil {
		t.Fatal(err)
	}
	for attribute, want := range map[string]string{
		"dn": "CN=" + strings.ToUpper(vm) + "," + unit, "samaccountname": strings.ToUpper(vm) + "$", "dnshostname": host, "operatingsystem": "Linux",
	} {
		if len(found[attribute]) != 1 || !strings.EqualFold(found[attribute][0], want) {
			t.Errorf("the computer's %s is %q, want %s", attribute, found[attribute], want)
		}
	}
	said, err := s.inside(ctx, "id -un "+account+" && id -un "+upn+" && getent -s files passwd "+account+" || echo nowhere else")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, account+"\n"+account+"\nnowhere else") {
		t.Errorf("the machine says of the directory's user: %q", said)
	}
}

// inside runs a script in the machine and returns what it wrote.
func (s *story) inside(ctx context.Context, script string) (string, error) {
	body, err := json.Marshal(map[string]any{"commandId": "RunShellScript", "script": []string{script}})
	if err != nil {
		return "", err
	}
	out, err := s.CLI(ctx, nil, "rest", "-m", "POST", "-u", s.ID("Microsoft.Compute/virtualMachines/"+vm)+"/runCommand?api-version=2024-07-01", "-b", string(body), "-o", "json")
	if err != nil {
		return "", err
	}
	var answer struct{ Value []struct{ Message string } }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return "", fmt.Errorf("read what the script wrote: %w: %s", err, out)
	}
	var text strings.Builder
	for _, v := range answer.Value {
		text.WriteString(v.Message)
	}
	return text.String(), nil
}

// doorPort is where the machine shows its RDP server, which listens on its loopback
// alone, to the network.
const doorPort = "3390"

// opened opens a door to the machine's RDP server, in the machine and then in its
// network security group.
func (s *story) opened(t *testing.T) {
	ctx := yardtest.Deadline(t, 3*time.Minute)
	_, err := s.inside(ctx, "systemd-run --quiet --unit=door --socket-property=ListenStream="+doorPort+" /lib/systemd/systemd-socket-proxyd 127.0.0.1:3389")
	if err != nil {
		t.Fatal(err)
	}
	door, err := s.door(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.knock(ctx, door); err == nil {
		t.Fatalf("%s answers in the office though no rule allows it", door)
	}
	err = s.Put(ctx, "Microsoft.Network/networkSecurityGroups/"+group, "2022-07-01", map[string]any{"location": "local", "properties": map[string]any{
		"securityRules": []any{map[string]any{"name": "DesktopsFromTheOffice", "properties": map[string]any{
			"priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefix": controllerAddress,
			"sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": doorPort,
		}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for s.knock(ctx, door) != nil { // each knock takes its time
		if ctx.Err() != nil {
			t.Fatalf("%s does not answer though a rule allows it", door)
		}
	}
	t.Logf("the rule opened the way within %.1f s", time.Since(start).Seconds())
}

// door is the door's address.
func (s *story) door(ctx context.Context) (string, error) {
	var nic struct {
		Properties struct {
			IPConfigurations []struct {
				Properties struct{ PrivateIPAddress string }
			}
		}
	}
	if err := s.Get(ctx, "Microsoft.Network/networkInterfaces/"+vm+"-nic", "2023-09-01", &nic); err != nil {
		return "", err
	}
	if len(nic.Properties.IPConfigurations) != 1 {
		return "", fmt.Errorf("the machine's interface has %d addresses", len(nic.Properties.IPConfigurations))
	}
	return net.JoinHostPort(nic.Properties.IPConfigurations[0].Properties.PrivateIPAddress, doorPort), nil
}

// knock connects to the door from the office.
func (s *story) knock(ctx context.Context, door string) error {
	address, port, err := net.SplitHostPort(door)
	if err != nil {
		return err
	}
	_, err = run(ctx, s.dc.through("timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+address+"/"+port)...)
	return err
}

// signedIn opens the desktop in the office as the directory's user.
func (s *story) signedIn(t *testing.T) {
	ctx := yardtest.Deadline(t, signInFor)
	door, err := s.door(ctx)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	client, err := desktop.Open(ctx, desktop.Options{Address: door, User: upn, Password: s.passwords.user, Through: s.dc.through()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.End) // of this chapter: the session lives on, Disconnected, when the host is removed
	session, err := s.awaitSession(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s has session %s after %.1f s", session.Properties.UserPrincipalName, session.ID(), time.Since(start).Seconds())
	if session.Properties.ActiveDirectoryUserName != account || session.Properties.ApplicationType != "Desktop" {
		t.Errorf("the session is %+v", session.Properties)
	}
	said, err := s.inside(ctx, "stat -c '%U %a' /home/"+account+"; ps -o comm= -u "+account)
	if err != nil || !strings.Contains(said, account+" 7") || !strings.Contains(said, "openbox") {
		t.Errorf("her home and her desktop: %q, %v", said, err)
	}
}

// awaitSession waits until the service lists the user's session as Active.
func (s *story) awaitSession(ctx context.Context, client *desktop.Client) (service.Session, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		list, err := s.Pool.Sessions(ctx, host)
		if err != nil && ctx.Err() == nil {
			return service.Session{}, err
		}
		for _, l := range list {
			if l.Properties.UserPrincipalName == upn && l.Properties.SessionState == "Active" {
				return l, nil
			}
		}
		select {
		case <-client.Done():
			return service.Session{}, fmt.Errorf("the RDP client ended: %s", client.Said())
		case <-ctx.Done():
			return service.Session{}, fmt.Errorf("wait for a session of %s: %w; listed: %+v", upn, context.Cause(ctx), list)
		case <-tick.C:
		}
	}
}

// removed removes the host while its user's session is there.
func (s *story) removed(t *testing.T) {
	ctx := yardtest.Deadline(t, 5*time.Minute)
	var made struct{ Properties struct{ VMID string } }
	if err := s.Get(ctx, "Microsoft.Compute/virtualMachines/"+vm, "2024-07-01", &made); err != nil || made.Properties.VMID == "" {
		t.Fatalf("the machine has id %q, %v", made.Properties.VMID, err)
	}
	start := time.Now()
	if err := s.Remove(ctx, yard.Pool, host); err != nil {
		t.Fatal(err)
	}
	t.Logf("removed in %.1f s", time.Since(start).Seconds())
	if found, err := s.dc.search(ctx, base, "(sAMAccountName="+vm+"$)", "dNSHostName"); err != nil || len(found["dn"]) > 0 {
		t.Errorf("the directory still has %v, %v", found, err)
	}
	left, err := s.Leftovers(ctx, yard.Pool, vm, made.Properties.VMID)
	if err != nil || len(left) > 0 {
		t.Errorf("of %s is left: %v, %v", vm, left, err)
	}
	if _, err := s.Pool.Host(ctx, host); !service.IsStatus(err, http.StatusNotFound) {
		t.Errorf("the session host answers %v", err)
	}
	list, err := s.Orphans(ctx)
	running, failed := s.Processes()
	if err := errors.Join(err, failed); err != nil || len(list) > 0 || len(running) > 0 {
		t.Errorf("orphans %s, machines %v, %v", list, running, err)
	}
}
