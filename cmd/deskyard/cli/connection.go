package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

var connections = kind{
	collection: "connections", version: desktopVersion,
	columns: cols("Connection=name", "Started=startTime", "User=userPrincipalName", "Host=sessionHostName", "State", "Failure=failureSymbol", "Door"),
}

// connectionCommands list what users' connections came to.
type connectionCommands struct {
	List connectionList `cmd:"" help:"List connections, newest first."`
	Show explainOne     `cmd:"" help:"Explain a connection: as deskyard explain connection."`
}

type explainCommands struct {
	Connection explainOne `cmd:"" help:"Say how a connection was decided, why other hosts were passed over, how long each stage took and how it ended."`
}

// subscriptionPath is the path of what is ours below the subscription.
func (s *session) subscriptionPath(ctx context.Context, name string) (string, error) {
	sub, err := s.subscriptionID(ctx)
	return "/subscriptions/" + sub + desktopProvider + name, err
}

type connectionList struct {
	options
	User          string `placeholder:"UPN" help:"Only this user's." group:"Filter"`
	SessionHost   string `name:"session-host-name" aliases:"host" placeholder:"NAME" help:"Only those to this host of the pool." group:"Filter"`
	Since         string `name:"start-time" placeholder:"TIME" help:"Begun at this time or later (ISO 8601)." group:"Filter"`
	Until         string `name:"end-time" placeholder:"TIME" help:"Begun before this time." group:"Filter"`
	HostPool      string `name:"host-pool-name" aliases:"pool" placeholder:"NAME" help:"Only those to this host pool." group:"Resource"`
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group of the pool." group:"Resource"`
	MaxItems      int    `default:"50" placeholder:"N" help:"Items at most; 0: all." group:"Paging"`
}

// Run lists connections.
func (c *connectionList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		query := url.Values{}
		for name, v := range map[string]string{"user": c.User, "startTime": c.Since, "endTime": c.Until} {
			if v != "" {
				query.Set(name, v)
			}
		}
		path, err := s.subscriptionPath(ctx, "connections")
		if c.HostPool != "" && err == nil {
			if path, err = s.poolPath(ctx, c.ResourceGroup, c.HostPool); err == nil && c.SessionHost != "" {
				var id string
				if id, err = s.hostObjectID(ctx, path+"/sessionHosts/"+segment(c.SessionHost)); err == nil {
					query.Set("host", id)
				}
			}
			path += "/connections"
		} else if c.SessionHost != "" {
			err = usagef("--session-host-name needs --host-pool-name and --resource-group")
		}
		if err != nil {
			return err
		}
		return s.printList(ctx, request{method: http.MethodGet, path: path, version: desktopVersion, query: query}, c.MaxItems, connections.columns)
	})
}

// hostObjectID is the id that records name a session host by.
func (s *session) hostObjectID(ctx context.Context, path string) (string, error) {
	resp, err := s.do(ctx, request{method: http.MethodGet, path: path, version: desktopVersion})
	if err != nil {
		return "", err
	}
	host, _ := flatten(resp.body).(map[string]any)
	id, _ := host["objectId"].(string)
	return id, nil
}

type explainOne struct {
	options
	ID string `arg:"" name:"connection" help:"Id of the connection: clients show it with an error."`
}

// Run explains the connection: on a terminal as a story, elsewhere as JSON.
func (c *explainOne) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.subscriptionPath(ctx, "connections/"+segment(c.ID))
		if err != nil {
			return err
		}
		resp, err := s.do(ctx, request{method: http.MethodGet, path: path, version: desktopVersion})
		if err != nil {
			return err
		}
		if s.out.format != "table" || s.out.query != "" {
			return s.show(resp.body, connections.columns)
		}
		record, _ := flatten(resp.body).(map[string]any)
		return s.out.explain(record)
	})
}

type whatIfCommand struct {
	options
	User          string `required:"" aliases:"upn" placeholder:"UPN" help:"Who would connect." group:"Resource"`
	HostPool      string `name:"pool" aliases:"host-pool-name" placeholder:"NAME" help:"Only to this host pool; with --resource-group." group:"Resource"`
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group of the pool." group:"Resource"`
}

var whatIfColumns = cols("Resource=resourceName", "Pool=hostPoolName", "Result=result", "Rule=decision.rule", "Reason")

// Run rehearses the user's connections; nothing is reserved or started.
func (c *whatIfCommand) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := s.subscriptionPath(ctx, "whatIfConnection")
		if c.HostPool != "" && err == nil {
			path, err = s.poolPath(ctx, c.ResourceGroup, c.HostPool)
			path += "/whatIfConnection"
		}
		if err != nil {
			return err
		}
		resp, err := s.do(ctx, request{method: http.MethodPost, path: path, version: desktopVersion, body: map[string]any{"userPrincipalName": c.User}})
		if err != nil {
			return err
		}
		body, _ := resp.body.(map[string]any)
		outcomes, _ := body["value"].([]any)
		if s.out.format != "table" || s.out.query != "" {
			return s.show(outcomes, whatIfColumns)
		}
		if len(outcomes) == 0 {
			_, err := fmt.Fprintf(s.out.out, "%s has nothing to open: no application group in a workspace is assigned.\n", c.User)
			return err
		}
		if err := s.show(outcomes, whatIfColumns); err != nil {
			return err
		}
		for _, o := range outcomes {
			outcome, _ := o.(map[string]any)
			if _, err := fmt.Fprintf(s.out.out, "\n%s\n", cell(outcome["resourceName"])); err != nil {
				return err
			}
			if err := s.out.candidates(outcome["decision"]); err != nil {
				return err
			}
		}
		return nil
	})
}

// explain tells a connection's record.
func (p *printer) explain(record map[string]any) error {
	var text strings.Builder
	line := func(title, value string) {
		if value != "" {
			fmt.Fprintf(&text, "%-12s%s\n", title, value)
		}
	}
	line("Connection", cell(record["name"]))
	line("User", cell(record["userPrincipalName"]))
	line("Resource", cell(record["resourceId"]))
	line("Host", cell(record["sessionHostName"]))
	line("Door", joined(record["door"], record["gateway"]))
	client, _ := record["client"].(map[string]any)
	line("Client", joined(client["type"], client["version"], client["os"], client["address"]))
	line("State", cell(record["state"]))
	line("Started", cell(record["startTime"]))
	line("Ended", cell(record["endTime"]))
	line("End reason", cell(record["endReason"]))
	if f, ok := record["failure"].(map[string]any); ok {
		line("Failure", cell(f["symbol"])+" ("+cell(f["code"])+"): "+cell(f["message"]))
		if after := cell(f["retryAfterSeconds"]); after != "" {
			line("Try again", "after "+after+" s")
		}
	}
	stages, _ := record["stages"].([]any)
	for i, st := range stages {
		title := ""
		if i == 0 {
			title = "Stages"
		}
		stage, _ := st.(map[string]any)
		ms, err := strconv.ParseFloat(cell(stage["milliseconds"]), 64)
		if err != nil {
			return fmt.Errorf("read the time of stage %s: %w", cell(stage["name"]), err)
		}
		fmt.Fprintf(&text, "%-12s%s %s\n", title, cell(stage["name"]), time.Duration(ms*float64(time.Millisecond)))
	}
	traffic, _ := record["traffic"].(map[string]any)
	line("Traffic", fmt.Sprintf("%s bytes from the client, %s from the host", cell(traffic["fromClientBytes"]), cell(traffic["fromHostBytes"])))
	decision, _ := record["decision"].(map[string]any)
	if decision != nil {
		line("Rule", cell(decision["rule"]))
		line("Reason", cell(decision["reason"]))
	}
	if _, err := io.WriteString(p.out, text.String()); err != nil || decision == nil {
		return err
	}
	return p.candidates(decision)
}

// joined are the values that are not empty.
func joined(values ...any) string {
	var all []string
	for _, v := range values {
		if c := cell(v); c != "" {
			all = append(all, c)
		}
	}
	return strings.Join(all, " ")
}

// candidates prints the hosts that a decision looked at.
func (p *printer) candidates(decision any) error {
	d, _ := decision.(map[string]any)
	list, _ := d["candidates"].([]any)
	var lines [][]string
	for _, c := range list {
		host, _ := c.(map[string]any)
		why := cell(host["passed"])
		if why == "" {
			why = "chosen"
		}
		lines = append(lines, []string{cell(host["host"]), cell(host["sessions"]), why})
	}
	if len(lines) == 0 {
		return nil
	}
	if _, err := io.WriteString(p.out, align([]string{"Candidate", "Sessions", "Why"}, lines)); err != nil {
		return err
	}
	if n := cell(d["considered"]); n != strconv.Itoa(len(lines)) {
		_, err := fmt.Fprintf(p.out, "%s hosts were considered; the nearest are shown.\n", n)
		return err
	}
	return nil
}
