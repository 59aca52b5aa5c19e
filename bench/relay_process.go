package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// copyRole is the bare relay: it accepts, dials and copies, without TLS.
type copyRole struct {
	Listen string `required:""`
	To     string `required:""`
	Splice bool   `help:"Let the kernel move the bytes, as io.Copy does between sockets." negatable:"" default:"true"`
}

// Run relays until ctx ends.
func (c *copyRole) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go c.relay(conn) // the process's end ends it
	}
}

func (c *copyRole) relay(conn net.Conn) {
	defer conn.Close()
	to, err := net.Dial("tcp", c.To)
	if err != nil {
		return // the lane's opener says that nothing came
	}
	defer to.Close()
	go func() {
		c.copy(to, conn)
		_ = to.Close()
	}()
	c.copy(conn, to)
}

// copy ends with either end; what it then says tells nobody anything.
func (c *copyRole) copy(dst io.Writer, src io.Reader) {
	if !c.Splice { // hide what io.Copy looks for
		dst, src = struct{ io.Writer }{dst}, struct{ io.Reader }{src}
	}
	_, _ = io.Copy(dst, src)
}

// rival is a relay under test, a process.
type rival struct {
	name string
	way
	pid     int
	stop    func()
	backend *net.TCPListener // nil: it dials nothing of ours
}

func (r *rival) close() {
	r.stop()
	if r.backend != nil {
		_ = r.backend.Close()
	}
}

// threads is how many each relay may use.
const threads = 2

// haproxyConfig and nginxConfig take address, certificate and backend; both speak TLS 1.3
// with the cipher that Go prefers, and keep no log.
const haproxyConfig = `global
    nbthread %[1]d
    maxconn 3000
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
    ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
    ssl-server-verify none
defaults
    mode tcp
    option splice-auto
    timeout connect 10s
    timeout client 10m
    timeout server 10m
frontend in
    bind %[2]s ssl crt %[3]s
    default_backend out
backend out
    server host %[4]s ssl verify none
`

const nginxConfig = `%[5]s
worker_processes %[1]d;
daemon off;
pid %[6]s/nginx.pid;
error_log %[6]s/nginx.error.log;
events { worker_connections 6000; }
stream {
    access_log off;
    proxy_timeout 10m;
    server {
        listen %[2]s ssl;
        ssl_certificate %[3]s;
        ssl_certificate_key %[3]s;
        ssl_protocols TLSv1.3;
        proxy_pass %[4]s;
        proxy_ssl on;
        proxy_ssl_verify off;
        proxy_ssl_protocols TLSv1.3;
        proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    }
}
`

// errMissing says that a rival is not installed.
var errMissing = errors.New("not installed")

// startProxy starts haproxy or nginx, which end TLS on both sides.
func startProxy(ctx context.Context, dir, name string, y *yard, certificate string) (*rival, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		if program = "/usr/sbin/" + name; !exists(program) {
			return nil, fmt.Errorf("%s is %w; apt-get install haproxy nginx-light libnginx-mod-stream", name, errMissing)
		}
	}
	module := ""
	if name == "nginx" {
		const file = "/usr/lib/nginx/modules/ngx_stream_module.so"
		if exists(file) {
			module = "load_module " + file + ";"
		}
	}
	r, address, err := newRival(name)
	if err != nil {
		return nil, err
	}
	config, args := haproxyConfig, []string{"-db", "-f"}
	if name == "nginx" {
		config, args = nginxConfig+"# %[6]s\n", []string{"-e", filepath.Join(dir, "nginx.error.log"), "-c"}
	} else {
		config += "# %[5]s %[6]s\n"
	}
	file := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, threads, address, certificate, r.backend.Addr(), module, dir), 0o600); err != nil {
		return nil, fmt.Errorf("write %s's configuration: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, program, append(args, file)...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.pid = cmd.Process.Pid
	r.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	r.way = &straight{address: address, backend: r.backend, cert: y.cert, tls: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: y.client.RootCAs, ServerName: y.client.ServerName}}
	if err := opens(ctx, address); err != nil {
		r.close()
		return nil, fmt.Errorf("start %s: %w: %s", name, err, said.String())
	}
	return r, r.forget()
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func newRival(name string) (*rival, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, "", fmt.Errorf("listen as a session host: %w", err)
	}
	return &rival{name: name, backend: l}, address, nil
}

// forget takes what the relay made of the look at its port.
func (r *rival) forget() error {
	for {
		if err := r.backend.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		c, err := r.backend.Accept()
		if err != nil {
			return nil // nothing more came
		}
		_ = c.Close()
	}
}

// startCopy starts the bare relay.
func startCopy(ctx context.Context, dir, name string, splice bool) (*rival, error) {
	r, address, err := newRival(name)
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, dir, []string{"GOMAXPROCS=" + strconv.Itoa(threads)}, "copy", "--listen", address, "--to", r.backend.Addr().String(), "--splice="+strconv.FormatBool(splice))
	if err != nil {
		return nil, err
	}
	r.pid, r.stop, r.way = c.pid(), c.kill, &straight{address: address, backend: r.backend}
	if err := opens(ctx, address); err != nil {
		r.close()
		return nil, fmt.Errorf("start the bare relay: %w; see copy.log", err)
	}
	return r, r.forget()
}

// startGateway starts a gateway of the yard; it is a rival for each of its doors.
func startGateway(ctx context.Context, dir string, y *yard) (*child, error) {
	c, err := start(ctx, dir, []string{"GOMAXPROCS=" + strconv.Itoa(threads)}, "edge", "--bundle", y.bundle, "--listen", y.gateway, "--log-level", "warn", "--drain-for", "1s")
	if err != nil {
		return nil, err
	}
	if err := opens(ctx, y.gateway); err != nil {
		c.kill()
		return nil, fmt.Errorf("start the gateway: %w; see edge.log", err)
	}
	return c, nil
}

// opens waits until a port takes connections.
func opens(ctx context.Context, address string) error {
	for end := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("its port did not open: %w", err)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// clockOf is the processor time of a process and its children, to the nanosecond.
func clockOf(pid int) (time.Duration, error) {
	var all time.Duration
	family, err := familyOf(pid)
	if err != nil {
		return 0, err
	}
	for _, p := range family {
		var t unix.Timespec
		// The clock of a process has a number made of its id (clock_getcpuclockid(3)).
		if err := unix.ClockGettime(int32(^p<<3|2), &t); err != nil {
			return 0, fmt.Errorf("read the clock of process %d: %w", p, err)
		}
		all += time.Duration(t.Nano())
	}
	return all, nil
}

// residentOf is the memory of a process and its children, KB.
func residentOf(pid int) (float64, error) {
	family, err := familyOf(pid)
	if err != nil {
		return 0, err
	}
	var all float64
	for _, p := range family {
		kb, err := rssOf(p)
		if err != nil {
			return 0, err
		}
		all += kb
	}
	return all, nil
}

func familyOf(pid int) ([]int, error) {
	family := []int{pid}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		text, err := os.ReadFile(t)
		if err != nil {
			continue // a thread that has gone
		}
		for _, f := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return nil, fmt.Errorf("read the children of process %d: %w", pid, err)
			}
			family = append(family, n)
		}
	}
	return family, nil
}
