//go:build e2e

// Package sessions holds what sessions must survive: faults of everything around them
// while their bytes flow, and clients and hosts that do their worst. It runs the real
// programs: the service, a gateway in a process of its own, and a session host that
// systemd boots in namespaces, with the Debian packages, xrdp and logind.
//
//	client network ── bridge ── house: deskyard serve, deskyard gateway
//	                    └────── host: boot loader, agent, stack, xrdp on loopback
package sessions

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/e2e/service"
)

const (
	servicePort = "8443"
	edgePort    = "8444"
	serviceURL  = "https://" + houseIP + ":" + servicePort
	edgeURL     = "https://" + houseIP + ":" + edgePort
	metricsURL  = "http://" + houseIP + ":8445/metrics"

	group    = "yard"
	poolName = "hp1"
	hostName = "sh-0"

	desktopUser = "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63" // the role Desktop Virtualization User
)

// yard is the whole of it.
type yard struct {
	whole    *testing.T // the story's; its parts end before what they start
	dir      string
	binary   string
	service  *service.Service
	client   *service.Client
	pool     service.Pool
	edge     *process
	host     *machine
	people   *place
	users    map[string]*person
	resource string            // what they may open
	secrets  map[string]string // what must be nowhere: what it is, by itself
}

// person is a user of the directory with an account of the same name on the host.
type person struct {
	name, upn, id, password string
	token                   string
	until                   time.Time
}

// process is a program that can be killed and started again.
type process struct {
	args []string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of its end, once done is closed
}

func (p *process) start(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	must(t, p.cmd.Start())
	done := make(chan struct{})
	p.done = done
	go func() {
		p.err = p.cmd.Wait()
		close(done)
	}()
}

// end signals the program and waits until it is gone.
func (p *process) end(t *testing.T, s syscall.Signal, within time.Duration) {
	t.Helper()
	_ = p.cmd.Process.Signal(s) // it may have ended
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.done
		t.Errorf("%s did not end within %s of %s", p.args[1], within, s)
	}
}

// repository is the checkout's root, two folders up.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	must(t, err)
	return root
}

func override(variable, path string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return path
}

// open makes a yard; arguments are of serve, beside those it needs.
func open(t *testing.T, arguments ...string) *yard {
	t.Helper()
	repo := repository(t)
	y := &yard{whole: t, dir: t.TempDir(), binary: override("DESKYARD_BINARY", filepath.Join(repo, "bin", "deskyard")), users: map[string]*person{}, secrets: map[string]string{}}
	packages := override("DESKYARD_PACKAGES", filepath.Join(repo, "dist", "packages"))
	// A disk of its own can be filled.
	data := filepath.Join(y.dir, "data")
	must(t, os.Mkdir(data, 0o700))
	run(t, "mount", "-t", "tmpfs", "-o", "size=160m", "none", data)
	t.Cleanup(func() { _ = exec.Command("umount", "-l", data).Run() }) // it ends with the namespace at the latest
	network(t)
	y.people = clients(t)
	y.host = boot(t, y.dir)
	t.Cleanup(func() { y.lastWords(t) })
	var err error
	y.service, err = service.Start(t.Context(), service.Options{Binary: y.binary, Dir: y.dir, Agents: houseIP + ":" + servicePort, Arguments: append([]string{
		"--public-url", serviceURL, "--hypervisors", "none", "--gateway-url", edgeURL, "--components", packages, "--log-level", "debug", "--domain", "yard.example"}, arguments...)})
	must(t, err)
	t.Cleanup(func() {
		if err := y.service.Stop(); err != nil {
			t.Error(err)
		}
	})
	y.client, err = service.NewClient(y.service.Bootstrap)
	must(t, err)
	bundle := filepath.Join(y.dir, "edge-1.gateway.json")
	run(t, y.binary, "gateway", "enroll", "edge-1", "--data", y.service.DataFolder(), "--public-url", serviceURL, "--listen", houseIP+":"+servicePort,
		"--agent-url", serviceURL, "--url", edgeURL, "--out", bundle)
	y.edge = &process{log: filepath.Join(y.dir, "edge.log"), args: []string{y.binary, "gateway", "--bundle", bundle, "--listen", houseIP + ":" + edgePort,
		"--metrics-listen", houseIP + ":8445", "--log-level", "debug", "--drain-for", "8s"}}
	y.edge.start(t)
	t.Cleanup(func() { y.edge.end(t, syscall.SIGKILL, 5*time.Second) })
	y.furnish(t, packages)
	return y
}

// furnish makes the pool, what people may open, and the people.
func (y *yard) furnish(t *testing.T, packages string) {
	t.Helper()
	ctx := t.Context()
	must(t, y.client.CreateGroup(ctx, group))
	y.pool = y.client.Pool(group, poolName)
	must(t, y.pool.Create(ctx))
	key, err := y.pool.Key(ctx)
	must(t, err)
	y.secrets[key] = "the registration key"
	y.host.install(t, packages, key)
	base := "/subscriptions/" + y.service.SubscriptionID + "/resourceGroups/" + group + "/providers/Microsoft.DesktopVirtualization/"
	must(t, y.client.Do(ctx, http.MethodPut, base+"applicationGroups/ag-desk", map[string]any{"location": "local", "properties": map[string]any{
		"applicationGroupType": "Desktop", "hostPoolArmPath": base + "hostPools/" + poolName}}, nil))
	must(t, y.client.Do(ctx, http.MethodPut, base+"workspaces/ws-desk", map[string]any{"location": "local", "properties": map[string]any{
		"applicationGroupReferences": []string{base + "applicationGroups/ag-desk"}}}, nil))
	for _, name := range []string{"ann", "bob", "eve"} {
		p := &person{name: name, upn: name + "@yard.example", password: "Yard-" + uuid.NewString()}
		var u struct{ ID string }
		must(t, y.client.Do(ctx, http.MethodPost, "/graph/v1.0/users", map[string]any{"userPrincipalName": p.upn, "displayName": name, "accountEnabled": true,
			"passwordProfile": map[string]any{"password": p.password, "forceChangePasswordNextSignIn": false}}, &u))
		p.id = u.ID
		y.users[name], y.secrets[p.password] = p, "the password of "+name
		y.host.account(t, name, p.password)
		must(t, y.client.Do(ctx, http.MethodPut, base+"applicationGroups/ag-desk/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01",
			map[string]any{"properties": map[string]any{"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + desktopUser, "principalId": u.ID, "principalType": "User"}}, nil))
	}
	y.available(t)
	var feed struct {
		Workspaces []struct{ Resources []struct{ ID string } }
	}
	y.as(t, "ann", http.MethodGet, serviceURL+"/connect/v1/feed", nil, &feed)
	if len(feed.Workspaces) != 1 || len(feed.Workspaces[0].Resources) != 1 {
		t.Fatalf("the feed has %+v", feed)
	}
	y.resource = feed.Workspaces[0].Resources[0].ID
}

// available waits until the host may get sessions.
func (y *yard) available(t *testing.T) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errNever)
	defer cancel()
	way, err := y.pool.Watch(ctx, hostName, "Available", nil)
	must(t, err)
	t.Logf("host: %s", service.Way(way))
	return way[len(way)-1].After
}

// trusting is a client that knows the service's CA; where it is, it cannot be deceived.
func (y *yard) trusting(t *testing.T) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(y.service.CAFile)
	must(t, err)
	return trust(t, pem)
}

// as calls the users' door as a person; out is the answer, which must be a success.
func (y *yard) as(t *testing.T, name, method, target string, body, out any) {
	t.Helper()
	status, answer := y.ask(t, name, method, target, body)
	if status >= 300 {
		t.Fatalf("%s %s as %s: %d %s", method, target, name, status, answer)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = answer
		return
	}
	must(t, json.Unmarshal(answer, out))
}

func (y *yard) ask(t *testing.T, name, method, target string, body any) (status int, answer []byte) {
	t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		must(t, err)
		in = bytes.NewReader(b)
	}
	q, err := http.NewRequestWithContext(t.Context(), method, target, in)
	must(t, err)
	q.Header.Set("Authorization", "Bearer "+y.tokenOf(t, name))
	q.Header.Set("Content-Type", "application/json")
	status, answer, err = y.send(t, q)
	must(t, err)
	return status, answer
}

// tokenOf signs a person in.
func (y *yard) tokenOf(t *testing.T, name string) string {
	t.Helper()
	p := y.users[name]
	if time.Now().Before(p.until) {
		return p.token
	}
	form := url.Values{"grant_type": {"password"}, "client_id": {"04b07795-8ddb-461a-bbee-02f9e1bf7b46"}, "username": {p.upn}, "password": {p.password},
		"scope": {y.service.Endpoint + "/.default openid"}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serviceURL+"/"+y.service.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	must(t, err)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, answer, err := y.send(t, q)
	must(t, err)
	var a struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.AccessToken == "" {
		t.Fatalf("sign %s in: %d %s %v", name, status, answer, err)
	}
	p.token, p.until = a.AccessToken, time.Now().Add(10*time.Minute)
	y.secrets[p.token] = "a token of " + name
	return p.token
}

func (y *yard) send(t *testing.T, q *http.Request) (status int, answer []byte, err error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: y.trusting(t), DisableKeepAlives: true}
	c := http.Client{Transport: transport, Timeout: 30 * time.Second}
	resp, err := c.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, answer, err
}

// record is a connection as `deskyard explain connection` has it.
type record struct {
	Name       string
	Properties struct {
		UserPrincipalName string
		State             string
		GatewayName       string
		EndReason         string
		Failure           *struct{ Symbol, Message string }
		Stages            []struct {
			Name         string
			Milliseconds float64
		}
	}
}

// records are the newest connections of a person.
func (y *yard) records(t *testing.T, name string) []record {
	t.Helper()
	var list struct{ Value []record }
	must(t, y.client.Do(t.Context(), http.MethodGet, "/subscriptions/"+y.service.SubscriptionID+"/providers/Microsoft.DesktopVirtualization/connections", nil, &list))
	var own []record
	for _, r := range list.Value {
		if strings.EqualFold(r.Properties.UserPrincipalName, y.users[name].upn) {
			own = append(own, r)
		}
	}
	return own
}

// session is a person's session as the API lists it; nil where there is none.
func (y *yard) session(ctx context.Context, name string) (*service.Session, error) {
	list, err := y.pool.Sessions(ctx, hostName)
	for i := range list {
		who := list[i].Properties
		if strings.HasPrefix(who.UserPrincipalName, name) || who.ActiveDirectoryUserName == name {
			return &list[i], err
		}
	}
	return nil, err
}

// awaitSession waits until the API lists a person's session in a state; "" is none.
func (y *yard) awaitSession(t *testing.T, name, state string, within time.Duration) time.Duration {
	t.Helper()
	begin, last := time.Now(), ""
	err := until(t.Context(), within, func() bool {
		s, err := y.session(t.Context(), name)
		switch {
		case err != nil:
			last = err.Error()
			return false
		case s == nil:
			last = ""
		default:
			last = s.Properties.SessionState
		}
		return last == state
	})
	if err != nil {
		t.Fatalf("the session of %s is %q after %s, not %q", name, last, within, state)
	}
	return time.Since(begin)
}

// lastWords shows the ends of all logs after a failure.
func (y *yard) lastWords(t *testing.T) {
	if !t.Failed() {
		return
	}
	if y.service != nil {
		t.Logf("--- service\n%s", y.service.Log(40))
	}
	if y.edge != nil {
		t.Logf("--- gateway\n%s", tail(y.edge.log, 40))
	}
}

func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// metric is a number of the gateway's.
func (y *yard) metric(t *testing.T, name string) (v float64) {
	t.Helper()
	resp, err := http.Get(metricsURL)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			var one float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &one); err == nil {
				v += one
			}
		}
	}
	return v
}

// resident is a process's resident memory, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for _, l := range strings.Split(string(b), "\n") {
		var kb int
		if n, _ := fmt.Sscanf(l, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal(errors.New("no VmRSS"))
	return 0
}
