package armapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/history"
)

// metricVersions are those of Azure Monitor's metrics that clients send; the answers do
// not differ between them.
var metricVersions = []string{"2016-09-01", "2017-05-01-preview", "2018-01-01", "2019-07-01", "2021-05-01", "2023-10-01", "2024-02-01"}

// metricGrains are the intervals that points can be asked for in, the finest first.
var metricGrains = []struct {
	text  string
	grain time.Duration
}{
	{"PT1M", time.Minute}, {"PT5M", 5 * time.Minute}, {"PT15M", 15 * time.Minute}, {"PT30M", 30 * time.Minute},
	{"PT1H", time.Hour}, {"PT6H", 6 * time.Hour}, {"PT12H", 12 * time.Hour}, {"P1D", 24 * time.Hour},
}

// metricTypes are the rows of Microsoft.Insights that show the history of session hosts, of
// their machines, and of host pools, as Azure Monitor does.
func (s *Server) metricTypes() []ResourceType {
	row := func(path string, handle func(context.Context, *Request) (Response, error)) ResourceType {
		return ResourceType{Namespace: "Microsoft.Insights", Path: path, Versions: metricVersions, Level: Extension,
			Actions: []Action{{Method: http.MethodGet, Collection: true, Permission: "Microsoft.Insights/" + path + "/read", Handle: handle}}}
	}
	return []ResourceType{row("metrics", s.metricValues), row("metricDefinitions", s.metricDefinitions)}
}

// measured is a resource of which there is a history.
type measured struct {
	id        arm.ResourceID // as it was asked for
	kind      history.Kind
	key       string
	location  string
	namespace string // its type
}

// measured finds what the history of a resource stands under.
func (s *Server) measured(ctx context.Context, id arm.ResourceID) (measured, error) {
	m := measured{id: id, namespace: id.Type()}
	switch strings.ToLower(id.Type()) {
	case "microsoft.desktopvirtualization/hostpools":
		pool, err := s.store.Resource(ctx, id)
		m.kind, m.key, m.location = history.Pools, pool.ID.Key(), pool.Envelope.Location
		return m, err
	case "microsoft.desktopvirtualization/hostpools/sessionhosts":
		host, err := s.store.SessionHost(ctx, id)
		if err != nil {
			return m, err
		}
		pool, err := s.store.Resource(ctx, host.ID.Parent())
		m.kind, m.key, m.location = history.Hosts, host.ID.Key(), pool.Envelope.Location
		return m, err
	case "microsoft.compute/virtualmachines":
		vm, err := s.store.Resource(ctx, id)
		if err != nil {
			return m, err
		}
		m.kind, m.location = history.Hosts, vm.Envelope.Location
		m.key, err = s.hostOfMachine(ctx, id)
		return m, err
	}
	return m, arm.Errorf(arm.Invalid, "BadRequest",
		"There are no metrics of %s. Ask for those of a host pool, a session host, or the virtual machine of one.", id.Type())
}

// hostOfMachine is the key of the session host on a virtual machine; "" where it is none
// yet, which has no history either.
func (s *Server) hostOfMachine(ctx context.Context, vm arm.ResourceID) (string, error) {
	query := deskyard.HostQuery{Scope: arm.ResourceID{Subscription: vm.Subscription}, Limit: overviewHosts}
	for {
		page, err := s.store.SessionHosts(ctx, query)
		if err != nil {
			return "", err
		}
		for _, h := range page.Items {
			if strings.EqualFold(h.ResourceID, vm.String()) {
				return h.ID.Key(), nil
			}
		}
		if query.After = page.Next; page.Next == "" {
			return "", nil
		}
	}
}

// metricsBody is Azure Monitor's answer.
type metricsBody struct {
	Cost      int          `json:"cost"`
	Timespan  string       `json:"timespan"`
	Interval  string       `json:"interval"`
	Namespace string       `json:"namespace"`
	Region    string       `json:"resourceregion"`
	Value     []metricBody `json:"value"`
}

type metricBody struct {
	ID          string       `json:"id"`
	Type        string       `json:"type"`
	Name        localized    `json:"name"`
	Description string       `json:"displayDescription"`
	Unit        history.Unit `json:"unit"`
	Series      []metricRow  `json:"timeseries"`
	ErrorCode   string       `json:"errorCode"`
}

type metricRow struct {
	Metadata []any             `json:"metadatavalues"`
	Data     []metricDataPoint `json:"data"`
}

// metricDataPoint has no value where nothing was measured.
type metricDataPoint struct {
	At      arm.Time `json:"timeStamp"`
	Average *float64 `json:"average,omitempty"`
	Minimum *float64 `json:"minimum,omitempty"`
	Maximum *float64 `json:"maximum,omitempty"`
}

// metricValues answers the history of a resource (Azure Monitor, "Metrics - List"): timespan,
// the last hour unless said; interval, a minute unless said; metricnames, all unless said;
// aggregation of Average, Minimum and Maximum, Average unless said. Points by the minute are
// kept for a day and by the hour for 30.
func (s *Server) metricValues(ctx context.Context, q *Request) (Response, error) {
	of, err := s.measured(ctx, q.ID)
	if err != nil {
		return Response{}, err
	}
	a, err := s.metricQuestion(q, of)
	if err != nil {
		return Response{}, err
	}
	b := metricsBody{Timespan: a.since.UTC().Format(time.RFC3339) + "/" + a.until.UTC().Format(time.RFC3339), Interval: a.interval, Namespace: of.namespace, Region: of.location, Value: []metricBody{}}
	found := make([][]history.Bucket, len(a.series))
	if s.opt.History != nil && of.key != "" {
		if found, err = history.Read(ctx, s.opt.History, s.now(), of.kind, of.key, a.series, a.since, a.until, a.grain); err != nil {
			return Response{}, err
		}
	}
	for i, at := range a.series {
		def := history.SeriesOf(of.kind)[at]
		m := metricBody{ID: of.id.String() + "/providers/Microsoft.Insights/metrics/" + def.Name, Type: "Microsoft.Insights/metrics",
			Name: word(def.Name), Description: def.Description, Unit: def.Unit, ErrorCode: "Success", Series: []metricRow{}}
		if a.data {
			row := metricRow{Metadata: []any{}, Data: []metricDataPoint{}}
			for _, p := range found[i] {
				row.Data = append(row.Data, a.point(p))
			}
			m.Series = append(m.Series, row)
		}
		b.Value = append(b.Value, m)
	}
	return Response{Body: b}, nil
}

// metricQuestion is what is asked of a history.
type metricQuestion struct {
	series       []int
	since, until time.Time
	interval     string
	grain        time.Duration
	aggregations []string // in lower case
	data         bool     // resultType Data
}

func (a *metricQuestion) point(b history.Bucket) metricDataPoint {
	p := metricDataPoint{At: arm.Time{Time: b.At}}
	if b.Empty {
		return p
	}
	for name, field := range map[string]struct {
		to    **float64
		value float64
	}{"average": {&p.Average, b.Mean}, "minimum": {&p.Minimum, b.Lo}, "maximum": {&p.Maximum, b.Hi}} {
		if slices.Contains(a.aggregations, name) {
			*field.to = &field.value
		}
	}
	return p
}

func (s *Server) metricQuestion(q *Request, of measured) (metricQuestion, error) {
	a := metricQuestion{aggregations: []string{"average"}, data: true}
	// Debian's azure-cli escapes what it sends twice, which Azure takes too.
	query := func(name string) string {
		if once, err := url.PathUnescape(q.Query(name)); err == nil {
			return once
		}
		return q.Query(name)
	}
	var err error
	if a.since, a.until, err = timespan(query("timespan"), s.now()); err != nil {
		return a, err
	}
	if a.interval, a.grain, err = metricInterval(query("interval"), a.until.Sub(a.since)); err != nil {
		return a, err
	}
	a.since = a.since.Truncate(min(a.grain, time.Hour))
	if text := query("aggregation"); text != "" {
		a.aggregations = splitWords(strings.ToLower(text))
		for _, name := range a.aggregations {
			if !slices.Contains([]string{"average", "minimum", "maximum", "none"}, name) {
				return a, badQuery("aggregation", name, "Average, Minimum or Maximum")
			}
		}
	}
	switch t := q.Query("resultType"); strings.ToLower(t) {
	case "", "data":
	case "metadata":
		a.data = false
	default:
		return a, badQuery("resultType", t, "Data or Metadata")
	}
	if ns := query("metricnamespace"); ns != "" && !strings.EqualFold(ns, of.namespace) {
		return a, badQuery("metricnamespace", ns, "'"+of.namespace+"'")
	}
	a.series, err = metricNames(query("metricnames"), of)
	return a, err
}

// metricNames finds the series of the names, set apart by commas.
func metricNames(text string, of measured) ([]int, error) {
	all := history.SeriesOf(of.kind)
	names := splitWords(text)
	if len(names) == 0 {
		for _, d := range all {
			names = append(names, d.Name)
		}
	}
	var series []int
	for _, name := range names {
		i := history.Find(of.kind, name)
		if i < 0 {
			var valid []string
			for _, d := range all {
				valid = append(valid, d.Name)
			}
			return nil, arm.Errorf(arm.Invalid, "BadRequest", "Failed to find metric configuration for resource type %s, metric: %s. Valid metrics: %s.",
				of.namespace, clip(name), strings.Join(valid, ", ")).WithTarget("metricnames")
		}
		series = append(series, i)
	}
	return series, nil
}

// splitWords takes a list set apart by commas; empty ones are none.
func splitWords(text string) []string {
	var words []string
	for w := range strings.SplitSeq(text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// timespan reads "from/to"; the last hour where it is empty.
func timespan(text string, now time.Time) (since, until time.Time, err error) {
	if text == "" {
		return now.Add(-time.Hour), now, nil
	}
	wanted := badQuery("timespan", text, "two ISO 8601 dates and times with a slash between them, the first the earlier, at most 30 days apart")
	from, to, found := strings.Cut(text, "/")
	a, errA := arm.ParseTime(from)
	b, errB := arm.ParseTime(to)
	if !found || errA != nil || errB != nil || !a.Before(b.Time) || b.Sub(a.Time) > history.HoursFor+24*time.Hour {
		return since, until, wanted
	}
	return a.Time, b.Time, nil
}

// metricInterval reads an interval; empty is a minute, or an hour for spans over a day,
// of which there are no minutes. More points than mostPoints are refused.
func metricInterval(text string, span time.Duration) (string, time.Duration, error) {
	const mostPoints = 3000
	if text == "" || strings.EqualFold(text, "auto") {
		text = "PT1M"
		if span > history.MinutesFor {
			text = "PT1H"
		}
	}
	var all []string
	for _, g := range metricGrains {
		if strings.EqualFold(g.text, text) {
			if span/g.grain > mostPoints {
				return "", 0, badQuery("interval", text, fmt.Sprintf("longer: a span of %s has more than %d points of it", span, mostPoints))
			}
			return g.text, g.grain, nil
		}
		all = append(all, g.text)
	}
	return "", 0, badQuery("interval", text, "one of "+strings.Join(all, ", "))
}

// metricDefinitions lists what is measured (Azure Monitor, "Metric Definitions - List").
func (s *Server) metricDefinitions(ctx context.Context, q *Request) (Response, error) {
	of, err := s.measured(ctx, q.ID)
	if err != nil {
		return Response{}, err
	}
	var grains []map[string]string
	for _, g := range metricGrains {
		keep := "P1D"
		if g.grain >= time.Hour {
			keep = "P30D"
		}
		grains = append(grains, map[string]string{"timeGrain": g.text, "retention": keep})
	}
	all := []any{}
	for _, d := range history.SeriesOf(of.kind) {
		all = append(all, map[string]any{
			"id": of.id.String() + "/providers/Microsoft.Insights/metricdefinitions/" + d.Name, "resourceId": of.id.String(), "namespace": of.namespace,
			"name": word(d.Name), "displayDescription": d.Description, "isDimensionRequired": false, "unit": d.Unit,
			"primaryAggregationType": "Average", "supportedAggregationTypes": []string{"Average", "Minimum", "Maximum"}, "metricAvailabilities": grains,
		})
	}
	return Response{Body: wholeList[any]{all}}, nil
}

// PoolMeasurements counts hosts and sessions of every pool, for their history.
func (s *Server) PoolMeasurements(ctx context.Context) ([]history.Measurement, error) {
	t := &tallied{at: s.now()}
	if err := s.countPools(ctx, arm.ResourceID{}, t); err != nil {
		return nil, err
	}
	all := make([]history.Measurement, 0, len(t.pools))
	for _, p := range t.pools {
		all = append(all, history.Measurement{Key: p.id.Key(), Values: []float64{
			float64(p.hosts.Total), float64(p.hosts.ByStatus[deskyard.StatusAvailable]),
			float64(p.sessions["Active"]), float64(p.sessions["Disconnected"]),
		}})
	}
	return all, nil
}
