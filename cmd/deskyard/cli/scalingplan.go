package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

var scalingPlans = kind{
	collection: "scalingPlans", version: desktopVersion,
	columns: cols("Name", "ResourceGroup", "Location", "TimeZone", "Type=hostPoolType", "Pools=length(hostPoolReferences || `[]`)"),
}

type scalingPlanCommands struct {
	Create scalingPlanCreate `cmd:"" help:"Create a scaling plan, or replace one, from its properties as JSON."`
	Update scalingPlanUpdate `cmd:"" help:"Change a scaling plan."`
	Show   scalingPlanShow   `cmd:"" help:"Show a scaling plan."`
	List   scalingPlanList   `cmd:"" help:"List scaling plans of a group, or of the subscription."`
	Delete scalingPlanDelete `cmd:"" help:"Delete a scaling plan."`
}

// jsonObject reads JSON from a flag: the text itself, or a file as @FILE.
func jsonObject(flag, text string) (map[string]any, error) {
	if name, isFile := strings.CutPrefix(text, "@"); isFile {
		data, err := readSmall(name)
		if err != nil {
			return nil, fmt.Errorf("read --%s: %w", flag, err)
		}
		text = string(data)
	}
	var object map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil {
		return nil, usagef("--%s is no JSON object: %v", flag, err)
	}
	return object, nil
}

type scalingPlanCreate struct {
	options
	inGroup
	Location   string  `short:"l" placeholder:"LOCATION" help:"Location. Default: the group's." group:"Resource"`
	Properties string  `default:"{}" placeholder:"JSON" help:"Properties as JSON, or @FILE: schedules, hostPoolReferences, exclusionTag." group:"Properties"`
	TimeZone   *string `name:"time-zone" placeholder:"ZONE" help:"Time zone of the schedules." group:"Properties"`
	PoolType   choice  `name:"host-pool-type" choices:"Pooled,Personal" placeholder:"TYPE" help:"Pooled or Personal." group:"Properties"`
	Tags       words   `placeholder:"NAME=VALUE" help:"Tags." group:"Properties"`
}

// Run creates the plan.
func (c *scalingPlanCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s, scalingPlans)
		if err != nil {
			return err
		}
		props, err := jsonObject("properties", c.Properties)
		if err != nil {
			return err
		}
		property(props, "timeZone", c.TimeZone)
		choose(props, "hostPoolType", c.PoolType)
		return s.create(ctx, path, scalingPlans, c.Location, props, c.Tags)
	})
}

type scalingPlanUpdate struct {
	options
	inGroup
	genericUpdate
	Properties string `default:"{}" placeholder:"JSON" help:"Properties to change as JSON, or @FILE." group:"Properties"`
	Tags       words  `placeholder:"NAME=VALUE" help:"Tags; they replace those there are." group:"Properties"`
}

// Run changes the plans.
func (c *scalingPlanUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		props, err := jsonObject("properties", c.Properties)
		if err != nil {
			return err
		}
		return s.updateAll(ctx, &c.inGroup, scalingPlans, props, c.Tags, &c.genericUpdate)
	})
}

type scalingPlanShow struct {
	options
	inGroup
}

// Run shows the plans.
func (c *scalingPlanShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.showAll(ctx, &c.inGroup, scalingPlans) })
}

type scalingPlanList struct {
	options
	listing
}

// Run lists plans.
func (c *scalingPlanList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.print(ctx, s, scalingPlans) })
}

type scalingPlanDelete struct {
	options
	inGroup
	Yes bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the plans.
func (c *scalingPlanDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.removeAll(ctx, &c.inGroup, scalingPlans, c.Yes, false) })
}
