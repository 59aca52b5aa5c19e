package service

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Pool is a host pool seen through the management API.
type Pool struct {
	client *Client
	id     string
}

// Pool names a host pool, which need not exist.
func (c *Client) Pool(group, name string) Pool {
	return Pool{c, "/subscriptions/" + c.boot.SubscriptionID + "/resourceGroups/" + group +
		"/providers/Microsoft.DesktopVirtualization/hostPools/" + name}
}

// CreateGroup makes a resource group.
func (c *Client) CreateGroup(ctx context.Context, name string) error {
	return c.Do(ctx, http.MethodPut, "/subscriptions/"+c.boot.SubscriptionID+"/resourceGroups/"+name+"?api-version=2021-04-01",
		map[string]any{"location": "local"}, nil)
}

// Create makes the pool, for pooled desktops.
func (p Pool) Create(ctx context.Context) error {
	return p.client.Do(ctx, http.MethodPut, p.id, map[string]any{"location": "local", "properties": map[string]any{
		"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop",
	}}, nil)
}

// Delete removes the pool with its hosts.
func (p Pool) Delete(ctx context.Context) error {
	return p.client.Do(ctx, http.MethodDelete, p.id+"?force=true&api-version=2025-10-10", nil, nil)
}

// Key makes a registration key that lasts for two hours and returns it.
func (p Pool) Key(ctx context.Context) (string, error) {
	err := p.client.Do(ctx, http.MethodPatch, p.id, map[string]any{"properties": map[string]any{"registrationInfo": map[string]any{
		"expirationTime":             time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339),
		"registrationTokenOperation": "Update",
	}}}, nil)
	if err != nil {
		return "", fmt.Errorf("make a registration key: %w", err)
	}
	var info struct{ Token string }
	if err := p.client.Do(ctx, http.MethodPost, p.id+"/retrieveRegistrationToken", nil, &info); err != nil {
		return "", fmt.Errorf("retrieve the registration key: %w", err)
	}
	return info.Token, nil
}

// Host is a session host as the API shows it.
type Host struct {
	ID         string
	Name       string // POOL/HOST
	Properties struct {
		Status                        string
		StatusReason                  string // why it is not Available
		StatusTimestamp               string
		AgentVersion                  string
		SxSStackVersion               string
		AllowNewSession               bool
		Sessions                      int
		UpdateState                   string
		UpdateErrorMessage            string
		VirtualMachineID              string `json:"virtualMachineId"`
		SessionHostHealthCheckResults []struct {
			HealthCheckName          string
			HealthCheckResult        string
			AdditionalFailureDetails struct{ Message string }
		}
	}
}

// String is the host in one line for people: status, its reason, and every check
// that did not succeed.
func (h Host) String() string {
	s := h.Properties.Status
	if h.Properties.StatusReason != "" {
		s += ": " + h.Properties.StatusReason
	}
	for _, c := range h.Properties.SessionHostHealthCheckResults {
		if c.HealthCheckResult != "HealthCheckSucceeded" {
			s += "; " + c.HealthCheckName + " " + c.HealthCheckResult + ": " + c.AdditionalFailureDetails.Message
		}
	}
	return s
}

// Hosts lists the pool's session hosts.
func (p Pool) Hosts(ctx context.Context) ([]Host, error) {
	var list struct{ Value []Host }
	err := p.client.Do(ctx, http.MethodGet, p.id+"/sessionHosts", nil, &list)
	return list.Value, err
}

// Host reads one session host.
func (p Pool) Host(ctx context.Context, name string) (Host, error) {
	var h Host
	err := p.client.Do(ctx, http.MethodGet, p.id+"/sessionHosts/"+name, nil, &h)
	return h, err
}

// Drain stops (or allows) new sessions on a host.
func (p Pool) Drain(ctx context.Context, host string, drain bool) error {
	return p.client.Do(ctx, http.MethodPatch, p.id+"/sessionHosts/"+host,
		map[string]any{"properties": map[string]any{"allowNewSession": !drain}}, nil)
}

// DeleteHost removes a host; force is needed while it has sessions.
func (p Pool) DeleteHost(ctx context.Context, host string, force bool) error {
	return p.client.Do(ctx, http.MethodDelete,
		p.id+"/sessionHosts/"+host+"?force="+strconv.FormatBool(force)+"&api-version=2025-10-10", nil, nil)
}

// Session is a user session as the API shows it.
type Session struct {
	Name       string // POOL/HOST/ID
	Properties struct {
		UserPrincipalName       string
		ActiveDirectoryUserName string
		SessionState            string
		ApplicationType         string
	}
}

// ID is the session's own name on its host.
func (s Session) ID() string { return s.Name[strings.LastIndexByte(s.Name, '/')+1:] }

// Sessions lists a host's user sessions.
func (p Pool) Sessions(ctx context.Context, host string) ([]Session, error) {
	var list struct{ Value []Session }
	err := p.client.Do(ctx, http.MethodGet, p.id+"/sessionHosts/"+host+"/userSessions", nil, &list)
	return list.Value, err
}

// Message shows a message in a session.
func (p Pool) Message(ctx context.Context, host, session, title, body string) error {
	return p.client.Do(ctx, http.MethodPost, p.id+"/sessionHosts/"+host+"/userSessions/"+session+"/sendMessage",
		map[string]string{"messageTitle": title, "messageBody": body}, nil)
}

// Disconnect takes a session's screen away and lets it live.
func (p Pool) Disconnect(ctx context.Context, host, session string) error {
	return p.client.Do(ctx, http.MethodPost, p.id+"/sessionHosts/"+host+"/userSessions/"+session+"/disconnect", nil, nil)
}

// LogOff ends a session.
func (p Pool) LogOff(ctx context.Context, host, session string) error {
	return p.client.Do(ctx, http.MethodDelete,
		p.id+"/sessionHosts/"+host+"/userSessions/"+session+"?force=true&api-version=2025-10-10", nil, nil)
}

// Sighting is a status and when it was first seen, counted from the watch's start.
type Sighting struct {
	Status string // "absent" before the host is there
	After  time.Duration
}

// watchEvery is how often a watch looks.
const watchEvery = 400 * time.Millisecond

// Watch follows a host until it has the wanted status ("absent": is not there) or
// ctx ends, and returns every status seen on the way, the wanted one last. seen, if
// not nil, is called at each change.
func (p Pool) Watch(ctx context.Context, host, want string, seen func(Sighting, Host)) ([]Sighting, error) {
	start := time.Now()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var way []Sighting
	for {
		h, err := p.Host(ctx, host)
		switch {
		case IsStatus(err, http.StatusNotFound):
			h.Properties.Status = "absent"
		case err != nil && ctx.Err() == nil:
			return way, err
		case err != nil:
			return way, fmt.Errorf("wait until %s is %s: %w; seen: %s", host, want, context.Cause(ctx), Way(way))
		}
		if len(way) == 0 || way[len(way)-1].Status != h.Properties.Status {
			way = append(way, Sighting{h.Properties.Status, time.Since(start)})
			if seen != nil {
				seen(way[len(way)-1], h)
			}
		}
		if h.Properties.Status == want {
			return way, nil
		}
		select {
		case <-ctx.Done():
			return way, fmt.Errorf("wait until %s is %s: %w; seen: %s; now %s", host, want, context.Cause(ctx), Way(way), h)
		case <-tick.C:
		}
	}
}

// Way writes a watch's findings in one line.
func Way(seen []Sighting) string {
	words := make([]string, len(seen))
	for i, s := range seen {
		words[i] = fmt.Sprintf("%s (%.1f s)", s.Status, s.After.Seconds())
	}
	return strings.Join(words, " -> ")
}
