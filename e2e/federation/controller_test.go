//go:build e2e

package federation

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	domainName        = "corp.example"
	base              = "DC=corp,DC=example"
	controllerAddress = "10.9.0.2"
)

// controller is a Samba AD DC, of which LDAP alone runs.
type controller struct {
	dir   string
	samba *exec.Cmd
	hold  func() error // ends Samba, whose input it closes
}

// run runs a program that must succeed.
func run(ctx context.Context, line ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(line[0]), err, out[max(0, len(out)-800):])
	}
	return nil
}

func (c *controller) file(name ...string) string {
	return filepath.Join(append([]string{c.dir}, name...)...)
}

func (c *controller) configuration() string { return c.file("etc", "smb.conf") }

// newController provisions the domain. The file system need not keep extended
// attributes, and no file is served.
func newController(ctx context.Context, dir, administrator string) (*controller, error) {
	c := &controller{dir: filepath.Join(dir, "dc")}
	if err := os.MkdirAll(c.file("run"), 0o700); err != nil {
		return nil, err
	}
	err := run(ctx, "samba-tool", "domain", "provision", "--realm=CORP.EXAMPLE", "--domain=CORP", "--server-role=dc",
		"--dns-backend=NONE", "--adminpass="+administrator, "--host-name=dc1", "--host-ip="+controllerAddress, "--targetdir="+c.dir,
		"--option=vfs objects = dfs_samba4 acl_xattr xattr_tdb", "--option=server services = ldap",
		"--option=interfaces = "+controllerAddress+"/32", "--option=bind interfaces only = yes",
		"--option=pid directory = "+c.file("run"), "--option=ncalrpc dir = "+c.file("run", "ncalrpc"), "--option=log file = "+c.file("log"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(c.configuration())
	if err != nil {
		return nil, err
	}
	text = bytes.Replace(text, []byte("[global]\n"), []byte("[global]\n\ttls keyfile = "+c.file("tls.key")+"\n\ttls certfile = "+c.file("tls.crt")+"\n\ttls cafile = "+c.file("ca.crt")+"\n"), 1)
	return c, os.WriteFile(c.configuration(), text, 0o600)
}

// certify gives the controller a certificate of a new authority, whose own is at ca.crt.
func (c *controller) certify() error {
	sign := func(n int64, t, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
		t.SerialNumber, t.NotBefore, t.NotAfter = big.NewInt(n), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), by)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(der)
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{Subject: pkix.Name{CommonName: "Corp CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca, err := sign(1, t, t, authority, authority)
	if err != nil {
		return err
	}
	leaf, err := sign(2, &x509.Certificate{Subject: pkix.Name{CommonName: "dc1." + domainName}, IPAddresses: []net.IP{net.ParseIP(controllerAddress)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, own, authority)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(c.file("ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}), 0o600),
		os.WriteFile(c.file("tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o600),
		os.WriteFile(c.file("tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}

// tool runs samba-tool on the database itself.
func (c *controller) tool(ctx context.Context, args ...string) error {
	return run(ctx, slices.Concat([]string{"samba-tool"}, args, []string{"-H", c.file("private", "sam.ldb"), "--configfile=" + c.configuration()})...)
}

// start runs Samba, and returns when it answers TLS.
func (c *controller) start(ctx context.Context) error {
	log, err := os.Create(c.file("samba.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c.samba = exec.Command("samba", "--interactive", "--no-process-group", "--configfile="+c.configuration())
	c.samba.Stdout, c.samba.Stderr = log, log
	c.samba.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.samba.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.samba.Start(); err != nil {
		return fmt.Errorf("start Samba: %w", err)
	}
	c.hold = in.Close
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", controllerAddress+":636")
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			said, _ := os.ReadFile(c.file("samba.log"))
			return fmt.Errorf("wait for the directory: %w; its log ends:\n%s", err, said[max(0, len(said)-1500):])
		}
	}
}

// stop ends Samba; it may be started again.
func (c *controller) stop() error {
	if c.samba == nil {
		return nil
	}
	err := c.hold()
	_ = syscall.Kill(-c.samba.Process.Pid, syscall.SIGTERM) // it may have ended with its input
	_ = c.samba.Wait()                                      // ended by that signal
	c.samba = nil
	return err
}
