package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

const (
	sshPort   = "22"
	sshFor    = 20 * time.Second // a connection, its handshake and the way to the socket
	sshSocket = "/run/libvirt/libvirt-sock"
)

// sshDialer reaches libvirtd's socket on another host through its SSH server. Nobody is
// asked for a password: a key's file or an agent's must do.
type sshDialer struct {
	host, port, user string
	key              string   // file; "" for those that ssh takes by itself
	known            []string // files of hosts' keys, of which those that exist count
	socket           string   // there
}

// newSSH reads libvirt's options of such a URI: keyfile, known_hosts, socket.
func newSSH(u *url.URL) sshDialer {
	q := u.Query()
	d := sshDialer{
		host: u.Hostname(), port: cmp.Or(u.Port(), sshPort), user: u.User.Username(), key: q.Get("keyfile"), socket: cmp.Or(q.Get("socket"), sshSocket),
	}
	if self, err := user.Current(); err == nil && d.user == "" {
		d.user = self.Username
	}
	if file := q.Get("known_hosts"); file != "" {
		d.known = []string{file}
		return d
	}
	if config, err := os.UserConfigDir(); err == nil {
		d.known = append(d.known, filepath.Join(config, "libvirt", "known_hosts"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		d.known = append(d.known, filepath.Join(home, ".ssh", "known_hosts"))
	}
	d.known = append(d.known, "/etc/ssh/ssh_known_hosts")
	return d
}

// Dial connects. Closing what it returns ends the SSH connection too.
func (d sshDialer) Dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sshFor)
	defer cancel()
	known, algorithms, err := d.hostKeys()
	if err != nil {
		return nil, err
	}
	signers, done, err := d.signers(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(d.host, d.port))
	if err != nil {
		return nil, err
	}
	// An SSH connection has no deadline of its own, only what it runs on.
	stop := context.AfterFunc(ctx, func() { plain.Close() })
	conn, channels, requests, err := ssh.NewClientConn(plain, net.JoinHostPort(d.host, d.port), &ssh.ClientConfig{
		User: d.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, HostKeyCallback: known, HostKeyAlgorithms: algorithms,
	})
	if err != nil {
		if !stop() {
			err = fmt.Errorf("no answer within %s: %w", sshFor, err)
		}
		return nil, errors.Join(d.explain(err), ignoreClosed(plain.Close()))
	}
	client := ssh.NewClient(conn, channels, requests)
	channel, err := client.Dial("unix", d.socket)
	if err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("reach the socket %s there as %s: %w", d.socket, d.user, err), ignoreClosed(client.Close()))
	}
	if !stop() {
		return nil, errors.Join(fmt.Errorf("reach the socket %s there: no answer within %s", d.socket, sshFor), ignoreClosed(client.Close()))
	}
	return sshConn{channel, client}, nil
}

// sshConn is a channel that ends its connection with itself.
type sshConn struct {
	net.Conn
	client *ssh.Client
}

// Close ends the channel and the connection below it.
func (c sshConn) Close() error {
	return errors.Join(c.Conn.Close(), c.client.Close())
}

// hostKeys are whom we take for the host. The algorithms are those of the keys that are
// known: a host that has others besides would show one of them, and be a stranger.
func (d sshDialer) hostKeys() (ssh.HostKeyCallback, []string, error) {
	var files []string
	for _, f := range d.known {
		if _, err := os.Stat(f); err == nil {
			files = append(files, f)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("read the known hosts: %w", err)
		}
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("read the known hosts: there is none of %q: note the host's key there (ssh-keyscan)", d.known)
	}
	known, err := knownhosts.New(files...)
	if err != nil {
		return nil, nil, fmt.Errorf("read the known hosts: %w", err)
	}
	var algorithms []string
	var unlike *knownhosts.KeyError
	if err := known(net.JoinHostPort(d.host, d.port), &net.TCPAddr{IP: net.IPv4zero}, noKey{}); errors.As(err, &unlike) {
		for _, k := range unlike.Want {
			algorithms = append(algorithms, signaturesOf(k.Key.Type())...)
		}
	}
	return known, algorithms, nil
}

// signaturesOf are the ways a host signs with a type of key.
func signaturesOf(key string) []string {
	if key == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key}
}

// noKey is no host's.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("it signs nothing") }

// signers are the keys to show: the URI's, or the agent's and those that ssh takes by
// itself. done closes the way to the agent.
func (d sshDialer) signers(ctx context.Context) (list []ssh.Signer, done func(), err error) {
	done = func() {}
	if d.key != "" {
		s, err := signer(d.key)
		return []ssh.Signer{s}, done, err
	}
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, done, fmt.Errorf("ask the SSH agent: %w", err)
		}
		done = func() { _ = conn.Close() } // nothing was written that could be lost
		if list, err = agent.NewClient(conn).Signers(); err != nil {
			return nil, done, fmt.Errorf("ask the SSH agent: %w", err)
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return list, done, nil // a service without a home has no keys in it
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		s, err := signer(filepath.Join(home, ".ssh", name))
		var locked *ssh.PassphraseMissingError
		if errors.Is(err, fs.ErrNotExist) || errors.As(err, &locked) { // whose passphrase the agent may know
			continue
		}
		if err != nil {
			return list, done, err
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, done, errors.New("find a key for SSH: the URI names none (keyfile=FILE), no agent has one, and ~/.ssh has none")
	}
	return list, done, nil
}

func signer(file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the key for SSH: %w", err)
	}
	s, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the key for SSH %s: %w", file, err)
	}
	return s, nil
}

// explain says whose key a handshake failed by.
func (d sshDialer) explain(err error) error {
	var stranger *knownhosts.KeyError
	switch {
	case errors.As(err, &stranger) && len(stranger.Want) > 0:
		return fmt.Errorf("the host's key is not the one in %s, line %d: %w", stranger.Want[0].Filename, stranger.Want[0].Line, err)
	case errors.As(err, &stranger):
		return fmt.Errorf("the host's key is in none of %q: note it there once you know that it is the host's: %w", d.known, err)
	}
	return fmt.Errorf("sign in as %s: %w", d.user, err)
}
