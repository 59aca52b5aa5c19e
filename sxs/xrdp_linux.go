package sxs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/deskyard/deskyard/durable"
)

// xrdp is the RDP server of a Linux machine.
type xrdp struct {
	folder string // /etc/xrdp
	log    *slog.Logger

	mu    sync.Mutex // guards heard
	heard answer
}

// parts says that xrdp ends TLS before it closes a connection, for whatever reason, and
// only one that was killed does not (seen with 0.9.21: log-off, SIGTERM, SIGKILL).
const parts = true

func newListener(log *slog.Logger) listener { return &xrdp{folder: "/etc/xrdp", log: log} }

// wanted are the settings of xrdp.ini's [Globals] that the stack answers for.
func (x *xrdp) wanted() map[string]string {
	return map[string]string{
		"port":           "tcp://127.0.0.1:3389",
		"security_layer": "tls", // RDP's own encryption identifies nobody
		"certificate":    x.certFile(),
		"key_file":       x.keyFile(),
	}
}

func (x *xrdp) iniFile() string  { return filepath.Join(x.folder, "xrdp.ini") }
func (x *xrdp) certFile() string { return filepath.Join(x.folder, "deskyard-cert.pem") }
func (x *xrdp) keyFile() string  { return filepath.Join(x.folder, "deskyard-key.pem") }

// prepare puts xrdp on loopback with a key of this machine's own (images ship one
// key for all machines, and Debian's xrdp cannot read it). xrdp reads its settings anew
// for each connection; only another address to listen on needs a restart.
func (x *xrdp) prepare(ctx context.Context) error {
	ini, err := os.ReadFile(x.iniFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not installed; the listener's state says so
	}
	if err != nil {
		return fmt.Errorf("read xrdp's configuration: %w", err)
	}
	if err := x.ensureKey(); err != nil {
		return err
	}
	changed := setGlobals(ini, x.wanted())
	if bytes.Equal(changed, ini) {
		return nil
	}
	if err := x.replaceConfig(ini, changed); err != nil {
		return err
	}
	x.log.Info("xrdp configured for loopback with its own key", "file", x.iniFile())
	if globals(ini)["port"] == x.wanted()["port"] {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "systemctl", "try-restart", "xrdp.service").CombinedOutput(); err != nil {
		err = fmt.Errorf("restart xrdp: %w: %s", err, bytes.TrimSpace(out))
		return errors.Join(err, durable.Replace(x.iniFile(), ini, 0o644)) // or the next attempt would find nothing to do
	}
	return nil
}

// replaceConfig keeps the first original beside it.
func (x *xrdp) replaceConfig(old, changed []byte) error {
	original := x.iniFile() + ".before-deskyard"
	f, err := os.OpenFile(original, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.Write(old)
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep xrdp's original configuration: %w", err)
	}
	return durable.Replace(x.iniFile(), changed, 0o644)
}

// ensureKey makes the RDP server's key and certificate once.
func (x *xrdp) ensureKey() error {
	if _, err := os.Stat(x.keyFile()); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make xrdp's key: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("make xrdp's certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("make xrdp's certificate: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), // self-signed and pinned: its life bounds nothing
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make xrdp's certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode xrdp's key: %w", err)
	}
	if err := durable.Replace(x.certFile(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return durable.Replace(x.keyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o640, giveToXRDP)
}

// giveToXRDP lets the group that Debian's xrdp runs as have a file; where there is no
// such group xrdp runs as root.
func giveToXRDP(f *os.File) error {
	g, err := user.LookupGroup("xrdp")
	if err != nil {
		return nil
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("read the id of group xrdp: %w", err)
	}
	return f.Chown(-1, id)
}

func (x *xrdp) state(ctx context.Context) Listener {
	ini, err := os.ReadFile(x.iniFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Listener{Detail: "No RDP server is installed. Install one: apt-get install xrdp xorgxrdp"}
	}
	l := Listener{Encryption: globals(ini)["security_layer"]}
	if err := x.answers(ctx); err != nil {
		l.Detail = "The RDP server does not answer on " + rdpAddress + " (" + err.Error() + "). Look at: systemctl status xrdp"
		return l
	}
	l.Ready = true
	// xrdp reads its settings and this file anew for each connection.
	file := cmp.Or(globals(ini)["certificate"], filepath.Join(x.folder, "cert.pem"))
	if l.Certificate, err = fingerprintOf(file); err != nil {
		l.Detail = err.Error()
	}
	return l
}
