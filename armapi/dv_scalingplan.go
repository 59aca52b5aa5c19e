package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const (
	pooledSchedules   = "pooledSchedules"
	personalSchedules = "personalSchedules"
)

// scalingPlanTypes are scaling plans and their schedules.
func (s *Server) scalingPlanTypes() []ResourceType {
	schedule := func(kind, version string, newModel func() Model, render func(context.Context, View, []deskyard.Resource) ([]any, error)) ResourceType {
		return ResourceType{
			Path: "scalingPlans/" + kind, Wire: "scalingplans/" + kind, Composite: true, Versions: since(version),
			Name: NameRule{Min: 1, Max: 64, Pattern: desktopName}, Verbs: crud, PutNew: 200, // as recorded
			New: newModel, BeforeWrite: s.beforeSchedule, Render: render,
		}
	}
	return []ResourceType{
		{
			Path: "scalingPlans", Wire: "scalingplans", Tracked: true, Versions: since("2020-11-10-preview"),
			Verbs:       Verbs{Get: true, Put: true, Patch: true, Delete: true, List: true, ListBySubscription: true, Paged: true},
			New:         func() Model { return new(deskyard.ScalingPlan) },
			BeforeWrite: s.beforeScalingPlan, AfterWrite: s.afterScalingPlan, Render: s.renderScalingPlans,
		},
		schedule(pooledSchedules, "2022-04-01-preview", func() Model { return new(deskyard.PooledSchedule) }, s.renderPooledSchedules),
		schedule(personalSchedules, "2023-07-07-preview", func() Model { return new(deskyard.PersonalSchedule) }, nil),
	}
}

// beforeScalingPlan holds a plan to its host pools: they exist, are of its type and
// in its location, and have no other plan.
func (s *Server) beforeScalingPlan(ctx context.Context, w *Write) error {
	plan := w.Model.(*deskyard.ScalingPlan)
	if plan.ObjectID == "" {
		plan.ObjectID = newID()
	}
	for i, ref := range plan.Refs() {
		at := fmt.Sprintf("properties.hostPoolReferences[%d].hostPoolArmPath", i)
		r, pool, err := referred[deskyard.HostPool](ctx, w.Tx, at, ref.Target.String(), "HostPoolNotFound")
		if err != nil {
			return err
		}
		if pool.HostPoolType != plan.HostPoolType {
			return arm.Errorf(arm.Invalid, "InvalidHostPoolType",
				"The scaling plan is for %s host pools; '%s' is %s.", plan.HostPoolType, r.ID.Name(), pool.HostPoolType).WithTarget(at)
		}
		if err := sameLocation(w, "ScalingPlan must be in same location as its HostPools", r); err != nil {
			return err
		}
		plans, err := w.Tx.Referrers(ctx, deskyard.RelationScalingHostPool, r.ID)
		if err != nil {
			return err
		}
		for _, other := range plans[r.ID.Key()] {
			if !other.Equal(w.New.ID) {
				return arm.Errorf(arm.Conflicting, "HostPoolHasScalingPlan",
					"The host pool '%s' is assigned to the scaling plan '%s' already; a pool has one plan at most.", r.ID.Name(), other.Name()).WithTarget(at)
			}
		}
	}
	for i, named := range plan.Schedules {
		if err := checkName(s.desktopRow("scalingPlans/"+pooledSchedules), named.Name); err != nil {
			return arm.Errorf(arm.Invalid, "InvalidParameter", "The name '%s' of a schedule is not one of 1 to 64 letters, digits or @.-_ signs.",
				clip(named.Name)).WithTarget(fmt.Sprintf("properties.schedules[%d].name", i))
		}
	}
	plan.Schedules = nil // they are stored as resources of their own
	return nil
}

// afterScalingPlan writes the schedules of the body through: they replace the
// plan's pooled schedules. A body without the member leaves them as they are.
func (s *Server) afterScalingPlan(ctx context.Context, w *Write) error {
	raw, given := w.Raw["schedules"]
	if !given || raw == nil || w.Model.(*deskyard.ScalingPlan).HostPoolType != "Pooled" {
		return nil
	}
	schedules, err := namedSchedules(raw)
	if err != nil {
		return err
	}
	page, err := w.Tx.Resources(ctx, deskyard.ResourceQuery{Scope: w.New.ID, Type: desktopNamespace + "/scalingPlans/" + pooledSchedules})
	if err != nil {
		return err
	}
	former := map[string]deskyard.Resource{}
	for _, r := range page.Items {
		former[strings.ToLower(r.ID.Name())] = r
	}
	for _, named := range schedules {
		r, exists := former[strings.ToLower(named.Name)]
		delete(former, strings.ToLower(named.Name))
		if !exists {
			r = deskyard.Resource{ID: w.New.ID.Child(pooledSchedules, named.Name), Envelope: arm.Envelope{SystemData: w.New.Envelope.SystemData}}
		}
		if err := rewrite(ctx, w, r, &named.PooledSchedule); err != nil {
			return err
		}
	}
	for _, r := range former {
		if err := w.Tx.DeleteResource(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// namedSchedules reads a body's schedules, which were validated, once more.
func namedSchedules(raw any) ([]deskyard.NamedSchedule, error) {
	data, err := json.Marshal(raw)
	if err != nil {
		return nil, fmt.Errorf("read schedules again: %w", err)
	}
	var schedules []deskyard.NamedSchedule
	if err := decodeJSON(data, &schedules, "properties.schedules"); err != nil {
		return nil, err
	}
	for i := range schedules {
		schedules[i].Default(nil)
	}
	return schedules, nil
}

// beforeSchedule holds a schedule to its plan: of the plan's kind, and on days that
// no other schedule of the plan has.
func (s *Server) beforeSchedule(ctx context.Context, w *Write) error {
	r, err := w.Tx.Resource(ctx, w.New.ID.Parent())
	if err != nil {
		return err
	}
	plan, err := readModel[deskyard.ScalingPlan](r)
	if err != nil {
		return err
	}
	pooled, days := false, []string(nil)
	kind := w.New.ID.Type()
	switch m := w.Model.(type) {
	case *deskyard.PooledSchedule:
		pooled, days = true, m.DaysOfWeek
	case *deskyard.PersonalSchedule:
		days = m.DaysOfWeek
	}
	if pooled != (plan.HostPoolType == "Pooled") {
		return arm.Errorf(arm.Invalid, "InvalidScheduleType",
			"The scaling plan '%s' is for %s host pools and takes no schedule of the type '%s'.", r.ID.Name(), plan.HostPoolType, kind)
	}
	page, err := w.Tx.Resources(ctx, deskyard.ResourceQuery{Scope: r.ID, Type: kind})
	if err != nil {
		return err
	}
	for _, other := range page.Items {
		if other.ID.Equal(w.New.ID) {
			continue
		}
		taken, err := readModel[struct{ DaysOfWeek []string }](other)
		if err != nil {
			return err
		}
		if day := deskyard.CommonDay(taken.DaysOfWeek, days); day != "" {
			return arm.Errorf(arm.Conflicting, "ScheduleDaysOverlap",
				"%s is in the schedule '%s' of this plan already; a day may be in one only.", day, other.ID.Name()).WithTarget("properties.daysOfWeek")
		}
	}
	return nil
}

// scalingPlanProperties is a plan's properties on the wire.
type scalingPlanProperties struct {
	*deskyard.ScalingPlan
	Schedules []any `json:"schedules"`
}

// datedSchedule is a schedule as API versions up to 2021-07-12 have it: start times
// are timestamps, of which only the time of day counts.
type datedSchedule struct {
	deskyard.NamedSchedule
	RampUp   *string `json:"rampUpStartTime"`
	Peak     *string `json:"peakStartTime"`
	RampDown *string `json:"rampDownStartTime"`
	OffPeak  *string `json:"offPeakStartTime"`
}

// scheduleAt is a schedule in the body of its plan at an API version.
func scheduleAt(version string, n deskyard.NamedSchedule) any {
	if version > "2021-07-12" {
		return n
	}
	dated := func(t *deskyard.ClockTime) *string {
		if t == nil {
			return nil
		}
		s := fmt.Sprintf("2000-01-01T%02d:%02d:00Z", t.Hour, t.Minute)
		return &s
	}
	return datedSchedule{n, dated(n.RampUpStartTime), dated(n.PeakStartTime), dated(n.RampDownStartTime), dated(n.OffPeakStartTime)}
}

func (s *Server) renderScalingPlans(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	children, err := childrenOf(ctx, v.Reader, rows, desktopNamespace+"/scalingPlans/"+pooledSchedules)
	if err != nil {
		return nil, err
	}
	row := s.desktopRow("scalingPlans")
	out := make([]any, len(rows))
	for i, r := range rows {
		plan, err := readModel[deskyard.ScalingPlan](r)
		if err != nil {
			return nil, err
		}
		schedules := []any{}
		for _, c := range children[r.ID.Key()] {
			schedule, err := readModel[deskyard.PooledSchedule](c)
			if err != nil {
				return nil, err
			}
			schedules = append(schedules, scheduleAt(v.Version, deskyard.NamedSchedule{Name: c.ID.Name(), PooledSchedule: *schedule}))
		}
		out[i] = row.RenderBody(r, scalingPlanProperties{plan, schedules})
	}
	return out, nil
}

// pooledScheduleProperties adds what newer clients were recorded to be sent: the
// scaling of today by power, and none by creating and deleting hosts.
type pooledScheduleProperties struct {
	*deskyard.PooledSchedule
	ScalingMethod string       `json:"scalingMethod"`
	CreateDelete  createDelete `json:"createDelete"`
}

type createDelete struct {
	RampUpMaximum   *int `json:"rampUpMaximumHostPoolSize"`
	RampUpMinimum   *int `json:"rampUpMinimumHostPoolSize"`
	RampDownMaximum *int `json:"rampDownMaximumHostPoolSize"`
	RampDownMinimum *int `json:"rampDownMinimumHostPoolSize"`
}

func (s *Server) renderPooledSchedules(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
	row := s.desktopRow("scalingPlans/" + pooledSchedules)
	return renderEach(rows, func(r deskyard.Resource, schedule *deskyard.PooledSchedule) any {
		return row.RenderBody(r, pooledScheduleProperties{PooledSchedule: schedule, ScalingMethod: "PowerManage"})
	})
}

// listScalingPlansOfPool lists the plans that a host pool is assigned to.
func (s *Server) listScalingPlansOfPool(ctx context.Context, q *Request) (Response, error) {
	if _, err := q.Paging(); err != nil {
		return Response{}, err
	}
	if _, err := q.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	plans, err := s.store.Referrers(ctx, deskyard.RelationScalingHostPool, q.ID)
	if err != nil {
		return Response{}, err
	}
	var rows []deskyard.Resource // one at most: a pool has one plan
	for _, id := range plans[q.ID.Key()] {
		r, err := s.store.Resource(ctx, id)
		if arm.IsMissing(err) {
			continue // deleted since
		}
		if err != nil {
			return Response{}, err
		}
		rows = append(rows, r)
	}
	items, err := s.renderScalingPlans(ctx, s.liveView(q, s.store), rows)
	if err != nil {
		return Response{}, err
	}
	return q.ListResponse(items, ""), nil
}
