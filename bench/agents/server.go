package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/agentapi"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/sqlstore"
)

var benchPool = arm.MustParseID("/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.DesktopVirtualization/hostPools/hp")

// hostKey and hostID are the same in the server and in the client.
func hostKey(i int) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("deskyard bench"), uint64(i)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func hostID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }

func hostMachine(i int) deskyard.Machine {
	return deskyard.Machine{Hostname: fmt.Sprintf("vm-%d", i), MachineID: fmt.Sprintf("%032d", i), SMBIOSID: hostID(i), OS: "linux", Arch: "amd64", OSVersion: "Debian 12"}
}

// serve listens, says where, and answers for its usage until its input ends.
func serve(mode string, n int) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	writes := func() float64 { return 0 }
	if mode == "bare" {
		go acceptBare(tls.NewListener(l, conf))
	} else {
		close, counter, err := serveOurs(l, conf, n)
		if err != nil {
			return err
		}
		defer close()
		writes = counter
	}
	debug.FreeOSMemory() // what the preparation used is not the links'
	fmt.Println("listening", l.Addr())
	for words := bufio.NewScanner(os.Stdin); words.Scan(); {
		if words.Text() == "collect" {
			debug.FreeOSMemory()
		}
		rss, err := residentKiB()
		if err != nil {
			return err
		}
		var ru unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
			return err
		}
		cpu := float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e3
		fmt.Println(rss, cpu, writes())
	}
	return nil
}

// beatSize is a heartbeat on the wire: two bytes of header, four of mask, four of payload.
const beatSize = 10

// acceptBare holds each connection in a goroutine that answers two bytes to a
// heartbeat of the size of ours.
func acceptBare(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			beat, answer := make([]byte, beatSize), []byte{0x8a, 0}
			for {
				if _, err := io.ReadFull(conn, beat); err != nil {
					return
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// serveOurs is the agents' door on a real store with n registered hosts.
func serveOurs(l net.Listener, conf *tls.Config, n int) (end func(), writes func() float64, err error) {
	dir, err := os.MkdirTemp("", "deskyard-bench-")
	if err != nil {
		return nil, nil, err
	}
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	db, err := sqlstore.Open(context.Background(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(dir, "store.db"), Log: quiet})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := fill(db, n); err != nil {
		return nil, nil, errors.Join(err, db.Close(), os.RemoveAll(dir))
	}
	registry := prometheus.NewRegistry()
	door, err := agentapi.New(agentapi.Options{
		Store: db, Tokens: noTokens{}, BrokerURIs: []string{"https://" + l.Addr().String()}, CAPem: "bench", TenantID: "bench",
		Registerer: registry, Log: quiet,
	})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close(), os.RemoveAll(dir))
	}
	web := &http.Server{Handler: door.Handler(), ReadHeaderTimeout: 30 * time.Second, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelDebug)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = web.Serve(tls.NewListener(l, conf)) })
	end = func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(web.Close(), door.Close(ctx), db.Close(), os.RemoveAll(dir)); err != nil {
			fmt.Fprintln(os.Stderr, "bench agents: close:", err)
		}
		wg.Wait()
	}
	return end, func() float64 { return written(registry) }, nil
}

type noTokens struct{}

func (noTokens) Verify(string, time.Time) (string, string, error) {
	return "", "", arm.Errorf(arm.Forbidden, "INVALID_REGISTRATION_TOKEN", "the benchmark registers nobody")
}

func fill(db *sqlstore.DB, n int) error {
	props, err := json.Marshal(deskyard.HostPool{HostPoolType: "Pooled", ObjectID: "pool"})
	if err != nil {
		return err
	}
	return db.Write(context.Background(), func(ctx context.Context, tx deskyard.Tx) error {
		if _, err := tx.PutResource(ctx, deskyard.Resource{ID: benchPool, Properties: props}); err != nil {
			return err
		}
		for i := range n {
			h := deskyard.SessionHost{
				ID: benchPool.Child("sessionHosts", fmt.Sprintf("vm-%d", i)), ObjectID: hostID(i), Pool: "pool", AllowNewSession: true,
				Machine: hostMachine(i), PublicKey: hostKey(i).Public().(ed25519.PublicKey),
			}
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
}

func written(r *prometheus.Registry) float64 {
	families, err := r.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if strings.HasSuffix(f.GetName(), "host_writes_total") {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func residentKiB() (float64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, errors.New("read /proc/self/statm: too short")
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / 1024, err
}
