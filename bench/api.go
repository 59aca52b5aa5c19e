package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/sqlstore"
)

// Amounts of the API's measurement. All requests together stay below the 10,000
// that one caller may make in a burst.
const (
	apiTurns   = 4
	apiCallers = 64
	getsEach   = 12 // by caller and turn
	putsEach   = 12
	pageOf     = 1000
)

// api is a service and, beside it, a copy of its store that nothing serves.
type api struct {
	service  *service.Service
	http     *http.Client
	token    string
	bare     *sqlstore.DB
	pools    []deskyard.Resource
	listed   int
	hostPool arm.ResourceID
}

// measureAPI compares requests over TLS to a real `deskyard serve` with the same
// work on the bare store, in turns.
func measureAPI(ctx context.Context, m *measureRole, s *sheet) (err error) {
	dir, err := os.MkdirTemp("", "deskyard-bench-*")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	a := &api{listed: m.Agents}
	binary, err := filepath.Abs(m.Service)
	if err != nil {
		return err
	}
	if a.service, err = seeded(ctx, binary, dir, make([]byte, 24), m.Agents); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.service.Stop()) }()
	if err := a.prepare(ctx, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.bare.Close()) }()
	for _, c := range []struct {
		name, against string
		each          int
		ours, bare    func(ctx context.Context, i int) error
	}{
		{"api.get_host_pool", "bare store read", getsEach, a.get, a.read},
		{"api.put_host_pool_64_callers", "bare store write", putsEach, a.put, a.write},
	} {
		if err := a.compare(ctx, s, c.name, c.against, c.each, c.ours, c.bare); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return a.compareList(ctx, s)
}

// prepare makes a pool for each caller, and the copy of the store.
func (a *api) prepare(ctx context.Context, dir string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	base, err := arm.ParseID(poolsPath(a.service.Bootstrap) + "/" + benchPool)
	if err != nil {
		return err
	}
	a.hostPool = base
	for i := range apiCallers {
		id, err := arm.ParseID(fmt.Sprintf("%s/put%02d", poolsPath(a.service.Bootstrap), i))
		if err != nil {
			return err
		}
		a.pools = append(a.pools, deskyard.Resource{ID: id})
		if err := a.put(ctx, i); err != nil {
			return err
		}
	}
	source, err := service.OpenStore(ctx, service.Database(dir))
	if err != nil {
		return err
	}
	copied := filepath.Join(dir, "bare.db")
	if err := errors.Join(source.Backup(ctx, copied), source.Close()); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	if a.bare, err = service.OpenStore(ctx, copied); err != nil {
		return err
	}
	for i := range a.pools {
		if a.pools[i], err = a.bare.Resource(ctx, a.pools[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// connect obtains a token and a client that keeps a connection for each caller.
func (a *api) connect(ctx context.Context) error {
	pem, err := os.ReadFile(a.service.CAFile)
	if err != nil {
		return fmt.Errorf("read the CA: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	a.http = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: apiCallers, // HTTP/1.1: a connection for each caller
	}}
	b := a.service.Bootstrap
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {b.ClientID}, "client_secret": {b.ClientSecret}, "scope": {b.Endpoint + "/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.Endpoint+"/"+b.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = a.send(req, &answer)
	a.token = answer.AccessToken
	return err
}

func (a *api) do(ctx context.Context, method, target, body string, out any) error {
	if !strings.HasPrefix(target, "https:") {
		target = a.service.Endpoint + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	return a.send(req, out)
}

func (a *api) send(req *http.Request, out any) (err error) {
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode >= 300 {
		b, readErr := io.ReadAll(io.LimitReader(res.Body, 500))
		return errors.Join(fmt.Errorf("%s %s answers %d: %s", req.Method, req.URL.Path, res.StatusCode, b), readErr)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}

const apiVersion = "?api-version=2025-10-10"

func (a *api) get(ctx context.Context, i int) error {
	return a.do(ctx, http.MethodGet, a.pools[i].ID.String()+apiVersion, "", nil)
}

func (a *api) read(ctx context.Context, i int) error {
	_, err := a.bare.Resource(ctx, a.pools[i].ID)
	return err
}

func (a *api) put(ctx context.Context, i int) error {
	body, err := json.Marshal(map[string]any{"location": "local", "properties": poolProperties()})
	if err != nil {
		return err
	}
	return a.do(ctx, http.MethodPut, a.pools[i].ID.String()+apiVersion, string(body), nil)
}

// write stores what a PUT stores: the resource and a line of the audit log.
func (a *api) write(ctx context.Context, i int) error {
	return a.bare.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		stored, err := tx.PutResource(ctx, a.pools[i])
		if err != nil {
			return err
		}
		a.pools[i] = stored
		return tx.AppendAudit(ctx, deskyard.AuditEvent{ID: uuid.Must(uuid.NewV7()).String(), At: time.Now().UTC(), Caller: "bench", CallerType: "Application",
			Action: "Microsoft.DesktopVirtualization/hostpools/write", Scope: stored.ID.String(), Status: http.StatusOK})
	})
}

// compare lets every caller work in turns on ours and on the bare store.
func (a *api) compare(ctx context.Context, s *sheet, name, against string, each int, ours, bare func(context.Context, int) error) error {
	var took, cpu [2]time.Duration
	for range apiTurns {
		for side, work := range []func(context.Context, int) error{ours, bare} {
			pid := []int{a.service.Process().Pid, os.Getpid()}[side]
			before, err := cpuOf(pid)
			if err != nil {
				return err
			}
			begin := time.Now()
			if err := together(ctx, each, work); err != nil {
				return err
			}
			took[side] += time.Since(begin)
			after, err := cpuOf(pid)
			if err != nil {
				return err
			}
			cpu[side] += after - before
		}
	}
	n := float64(apiTurns * apiCallers * each)
	s.add(name+".per_s", n/took[0].Seconds(), n/took[1].Seconds(), against, "")
	s.add(name+".cpu_us", float64(cpu[0].Microseconds())/n, float64(cpu[1].Microseconds())/n, against, "")
	return nil
}

func together(ctx context.Context, each int, work func(context.Context, int) error) error {
	all, ctx := errgroup.WithContext(ctx)
	for i := range apiCallers {
		all.Go(func() error {
			for range each {
				if err := work(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return all.Wait()
}

// compareList reads all session hosts of the pool page by page, and by one query
// of the bare store.
func (a *api) compareList(ctx context.Context, s *sheet) error {
	const turns = 5
	var took, cpu [2]time.Duration
	for range turns {
		for side, list := range []func(context.Context) (int, error){a.list, a.scan} {
			pid := []int{a.service.Process().Pid, os.Getpid()}[side]
			before, err := cpuOf(pid)
			if err != nil {
				return err
			}
			begin := time.Now()
			if n, err := list(ctx); err != nil || n != a.listed {
				return fmt.Errorf("list session hosts: %d of %d, %w", n, a.listed, err)
			}
			took[side] += time.Since(begin)
			after, err := cpuOf(pid)
			if err != nil {
				return err
			}
			cpu[side] += after - before
		}
	}
	name := fmt.Sprintf("api.list_%d_hosts_in_pages", a.listed)
	s.add(name+".cpu_ms", cpu[0].Seconds()*1000/turns, cpu[1].Seconds()*1000/turns, "bare store list", "")
	s.add(name+".ms", took[0].Seconds()*1000/turns, took[1].Seconds()*1000/turns, "bare store list", "")
	return nil
}

func (a *api) list(ctx context.Context) (n int, err error) {
	next := fmt.Sprintf("%s/sessionHosts%s&pageSize=%d", a.hostPool, apiVersion, pageOf)
	for next != "" {
		var page struct {
			Value    []json.RawMessage
			NextLink string
		}
		if err := a.do(ctx, http.MethodGet, next, "", &page); err != nil {
			return n, err
		}
		n += len(page.Value)
		next = page.NextLink
	}
	return n, nil
}

func (a *api) scan(ctx context.Context) (int, error) {
	page, err := a.bare.SessionHosts(ctx, deskyard.HostQuery{Pool: a.hostPool})
	return len(page.Items), err
}
