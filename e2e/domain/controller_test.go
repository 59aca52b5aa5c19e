//go:build e2e

package domain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The domain, and where its controller is: across a router (this test's network
// namespace) from the machines.
const (
	domainName = "corp.example"
	realm      = "CORP.EXAMPLE"
	base       = "DC=corp,DC=example"
	unit       = "OU=Desks," + base

	routerAddress     = "10.9.0.1"
	controllerAddress = "10.9.0.2"
	nobodyAddress     = "10.9.0.9"
)

// controller is a Samba AD DC in a network namespace of its own.
type controller struct {
	dir      string
	password string // of Administrator
	space    *exec.Cmd
	samba    *exec.Cmd
	holds    []io.Closer // what space and samba end by
}

// commandFor bounds one command of Samba's; a provision takes five seconds alone.
const commandFor = 2 * time.Minute

// startController provisions the domain with a joiner account that may join computers
// to the unit and nothing else, and starts its controller.
func startController(ctx context.Context, dir, administrator, joiner string) (*controller, error) {
	c := &controller{dir: filepath.Join(dir, "dc"), password: administrator}
	if err := os.MkdirAll(filepath.Join(c.dir, "run"), 0o700); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{c.enter, c.provision,
		func(ctx context.Context) error { return c.furnish(ctx, joiner) }, c.start, c.awaitNames} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

// enter makes the namespace, which lasts as long as its process, and a cable into it.
func (c *controller) enter(ctx context.Context) error {
	c.space = exec.Command("cat")
	hold, err := c.space.StdinPipe()
	if err != nil {
		return err
	}
	c.space.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setpgid: true}
	if err := c.space.Start(); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	c.holds = append(c.holds, hold)
	for _, line := range []string{
		"ip link add office0 type veth peer name office1 netns " + strconv.Itoa(c.space.Process.Pid),
		"ip address add " + routerAddress + "/24 dev office0",
		"ip link set office0 up",
	} {
		if _, err := run(ctx, strings.Fields(line)...); err != nil {
			return err
		}
	}
	for _, line := range []string{
		"ip link set lo up",
		"ip address add " + controllerAddress + "/24 dev office1",
		"ip link set office1 up",
		"ip route add default via " + routerAddress,
	} {
		if _, err := run(ctx, c.through(strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	return nil
}

// through puts a command into the controller's namespace.
func (c *controller) through(line ...string) []string {
	return append([]string{"nsenter", "--net=/proc/" + strconv.Itoa(c.space.Process.Pid) + "/ns/net", "--"}, line...)
}

func (c *controller) configuration() string { return filepath.Join(c.dir, "etc", "smb.conf") }

// provision makes the domain. The file system need not keep extended attributes, and
// no file is served. The name server has nobody to ask for other names, such as those
// of reverse DNS, and takes its time over them: a join must not.
func (c *controller) provision(ctx context.Context) error {
	_, err := run(ctx, c.through("samba-tool", "domain", "provision", "--realm="+realm, "--domain=CORP", "--server-role=dc",
		"--dns-backend=SAMBA_INTERNAL", "--adminpass="+c.password, "--host-name=dc1", "--host-ip="+controllerAddress, "--targetdir="+c.dir,
		"--option=vfs objects = dfs_samba4 acl_xattr xattr_tdb", "--option=dns forwarder = "+nobodyAddress, "--option=server services = ldap, cldap, kdc, dns, rpc, dnsupdate",
		"--option=interfaces = lo "+controllerAddress, "--option=bind interfaces only = yes",
		"--option=pid directory = "+c.dir+"/run", "--option=ncalrpc dir = "+c.dir+"/run/ncalrpc", "--option=log file = "+c.dir+"/log")...)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.configuration())
	if err != nil {
		return err
	}
	// The test looks things up with a password and without TLS.
	text = bytes.Replace(text, []byte("[global]\n"), []byte("[global]\n\tldap server require strong auth = no\n"), 1)
	return os.WriteFile(c.configuration(), text, 0o600)
}

// computers is the schema's id of the class of computers' accounts.
const computers = "bf967a86-0de6-11d0-a285-00aa003049e2"

// furnish makes the unit and the joiner, before the controller runs.
func (c *controller) furnish(ctx context.Context, password string) error {
	if _, err := c.tool(ctx, "user", "create", joinerName, password); err != nil {
		return err
	}
	if _, err := c.tool(ctx, "ou", "create", unit); err != nil {
		return err
	}
	shown, err := c.tool(ctx, "user", "show", joinerName, "--attributes=objectSid")
	if err != nil {
		return err
	}
	_, sid, _ := strings.Cut(shown, "objectSid: ")
	sid, _, _ = strings.Cut(sid, "\n")
	// Computers may be made and deleted in the unit, and those in it may be altered.
	_, err = c.tool(ctx, "dsacl", "set", "--objectdn="+unit, "--sddl=(OA;CI;CCDC;"+computers+";;"+sid+")(OA;CIIO;GA;;"+computers+";"+sid+")")
	return err
}

// tool runs samba-tool on the database itself.
func (c *controller) tool(ctx context.Context, args ...string) (string, error) {
	return run(ctx, slices.Concat([]string{"samba-tool"}, args, []string{"-H", filepath.Join(c.dir, "private", "sam.ldb"), "--configfile=" + c.configuration()})...)
}

func (c *controller) start(context.Context) error {
	log, err := os.Create(filepath.Join(c.dir, "samba.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	line := c.through("samba", "--interactive", "--no-process-group", "--configfile="+c.configuration())
	c.samba = exec.Command(line[0], line[1:]...)
	c.samba.Stdout, c.samba.Stderr = log, log
	c.samba.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, err := c.samba.StdinPipe() // Samba ends when its input does, and so with this process
	if err != nil {
		return err
	}
	if err := c.samba.Start(); err != nil {
		return fmt.Errorf("start Samba: %w", err)
	}
	c.holds = append(c.holds, hold)
	return nil
}

// awaitNames waits until the controller has the service name that clients ask tickets
// for: it registers it itself, seconds after its ports have opened.
func (c *controller) awaitNames(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the controller has not registered its names"))
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := c.search(ctx, "OU=Domain Controllers,"+base, "(cn=DC1)", "servicePrincipalName")
		if err == nil && slices.ContainsFunc(found["serviceprincipalname"], func(s string) bool { return strings.EqualFold(s, "ldap/dc1."+domainName) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(c.dir, "samba.log"))
			return fmt.Errorf("wait for the domain: %w: %v; its log ends:\n%s", context.Cause(ctx), err, log[max(0, len(log)-1500):])
		case <-tick.C:
		}
	}
}

// createUser makes a user whose principal name is another than account and domain give.
func (c *controller) createUser(ctx context.Context, account, upn, password string) error {
	if _, err := c.tool(ctx, "user", "create", account, password); err != nil {
		return err
	}
	return c.ldap(ctx, "ldapmodify", []byte("dn: CN="+account+",CN=Users,"+base+"\nchangetype: modify\nreplace: userPrincipalName\nuserPrincipalName: "+upn+"\n"), nil)
}

// search finds entries below a place by LDAP, and merges their attributes under names
// in lower case.
func (c *controller) search(ctx context.Context, below, filter string, attributes ...string) (map[string][]string, error) {
	var out bytes.Buffer
	if err := c.ldap(ctx, "ldapsearch", nil, &out, append([]string{"-LLL", "-o", "ldif-wrap=no", "-b", below, filter}, attributes...)...); err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for line := range strings.Lines(out.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(name, "#") {
			found[strings.ToLower(name)] = append(found[strings.ToLower(name)], value)
		}
	}
	return found, nil
}

func (c *controller) ldap(ctx context.Context, program string, in []byte, out io.Writer, args ...string) error {
	secret := filepath.Join(c.dir, "administrator")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"-x", "-H", "ldap://" + controllerAddress, "-D", "Administrator@" + domainName, "-y", secret}, args...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, said.Bytes())
	}
	return nil
}

// stop ends the controller and its namespace.
func (c *controller) stop() error {
	var errs []error
	for _, h := range slices.Backward(c.holds) {
		errs = append(errs, h.Close())
	}
	for _, p := range []*exec.Cmd{c.samba, c.space} {
		if p == nil || p.Process == nil {
			continue
		}
		_ = syscall.Kill(-p.Process.Pid, syscall.SIGTERM) // it may have ended with its input
		_ = p.Wait()                                      // ended by that signal
	}
	return errors.Join(errs...)
}

// run runs a program that must succeed, and returns what it wrote.
func run(ctx context.Context, line ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandFor)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", filepath.Base(line[0]), err, said.Bytes()[max(0, said.Len()-800):])
	}
	return out.String(), nil
}
