package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

var auditColumns = cols("Time=eventTimestamp", "Caller", "Action=operationName.value || operationName", "Status=status.value || status", "Resource=resourceId")

type auditCommands struct {
	List auditList `cmd:"" help:"Who did what to which object, from where, and what came of it; newest first."`
}

type auditList struct {
	options
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Only what happened in this group." group:"Filter"`
	ResourceID    string `name:"resource-id" placeholder:"ID" help:"Only what happened to this resource." group:"Filter"`
	Caller        string `placeholder:"WHO" help:"Only what this caller did." group:"Filter"`
	Operation     string `name:"operation-name" placeholder:"ACTION" help:"Only this action, as in Microsoft.DesktopVirtualization/hostpools/write." group:"Filter"`
	Status        string `placeholder:"STATUS" help:"Succeeded or Failed." group:"Filter"`
	Since         string `name:"start-time" placeholder:"TIME" help:"From this time on (ISO 8601). Default: --offset before now." group:"Filter"`
	Until         string `name:"end-time" placeholder:"TIME" help:"Up to this time." group:"Filter"`
	Offset        string `default:"6h" placeholder:"SPAN" help:"How far back, as in 90m, 6h or 7d." group:"Filter"`
	MaxEvents     int    `name:"max-events" default:"50" placeholder:"N" help:"Events at most; 0: all." group:"Filter"`
	Tenant        bool   `name:"tenant-events" help:"What happened at the tenant: directory, roles at the root." group:"Filter"`
}

// Run lists events.
func (c *auditList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		filter, err := c.filter(s.profile.now())
		if err != nil {
			return err
		}
		path := "/providers/Microsoft.Insights/eventtypes/management/values"
		if !c.Tenant {
			sub, err := s.subscriptionID(ctx)
			if err != nil {
				return err
			}
			path = "/subscriptions/" + sub + path
		}
		r := request{method: http.MethodGet, path: path, version: activityVersion, query: url.Values{"$filter": {filter}}}
		events, err := s.list(ctx, r, c.MaxEvents)
		if err != nil {
			return err
		}
		return s.out.print(events, auditColumns)
	})
}

// filter is the OData filter of Azure's activity log.
func (c *auditList) filter(now time.Time) (string, error) {
	since := c.Since
	if since == "" {
		span, err := parseSpan(c.Offset)
		if err != nil {
			return "", err
		}
		since = now.Add(-span).UTC().Format(time.RFC3339)
	}
	terms := []string{"eventTimestamp ge " + odata(since)}
	for _, t := range []struct{ name, operator, value string }{
		{"eventTimestamp", "le", c.Until}, {"resourceGroupName", "eq", c.ResourceGroup}, {"resourceUri", "eq", c.ResourceID},
		{"caller", "eq", c.Caller}, {"operationName", "eq", c.Operation}, {"status", "eq", c.Status},
	} {
		if t.value != "" {
			terms = append(terms, t.name+" "+t.operator+" "+odata(t.value))
		}
	}
	return strings.Join(terms, " and "), nil
}

// parseSpan reads a duration that may be in days.
func parseSpan(s string) (time.Duration, error) {
	text, days := strings.CutSuffix(s, "d")
	if days {
		text += "h"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, usagef("--offset %s is not a span such as 90m, 6h or 7d", s)
	}
	if days {
		d *= 24
	}
	return d, nil
}
