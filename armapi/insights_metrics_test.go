package armapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/history"
	"github.com/deskyard/deskyard/sqlstore"
)

const metricsVersion = "?api-version=2023-10-01"

// record has a host and the pools be noted for some minutes.
func (d *desk) record(minutes int, host arm.ResourceID) {
	d.t.Helper()
	n := 0
	r := &history.Recorder{Store: d.store.(*sqlstore.DB), Pools: d.server.PoolMeasurements, Now: d.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Hosts: func() []history.Measurement {
			n++
			return []history.Measurement{{Key: host.Key(), Values: []float64{float64(n), 50, 20, 0.5, 1, 2, 3.5}}}
		}}
	for range minutes {
		d.pass(time.Minute)
		if err := r.Record(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
}

// metric is the data of the first series of an answer, a point a word.
func metric(doc map[string]any) string {
	var words []string
	for _, v := range doc["value"].([]any) {
		m := v.(map[string]any)
		words = append(words, m["name"].(map[string]any)["value"].(string)+":")
		for _, row := range m["timeseries"].([]any) {
			for _, p := range row.(map[string]any)["data"].([]any) {
				p := p.(map[string]any)
				at, _ := time.Parse(time.RFC3339, p["timeStamp"].(string))
				delete(p, "timeStamp")
				words = append(words, fmt.Sprintf("%s %v", at.Format("15:04"), p))
			}
		}
	}
	return strings.Join(words, " ")
}

func TestMetricsOfHostsMachinesAndPools(t *testing.T) {
	d := newDesk(t)
	d.unix.Store(time.Date(2026, 11, 23, 11, 57, 20, 0, time.UTC).Unix())
	d.pool("hp1", "")
	h := d.host("hp1", "sh-0", true, session(1, "ann@corp.example"))
	vm := arm.MustParseID(rgScope).Provider("Microsoft.Compute", "virtualMachines", "sh-0")
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		h.ResourceID = vm.String()
		if _, err := tx.PutSessionHost(ctx, h); err != nil {
			return err
		}
		_, err := tx.PutResource(ctx, deskyard.Resource{ID: vm, Envelope: arm.Envelope{Location: "local"}, Properties: []byte(`{}`)})
		return err
	})
	d.record(6, h.ID) // at 11:58 to 12:03
	at := func(id, what, more string) string {
		return id + "/providers/Microsoft.Insights/" + what + metricsVersion + more
	}
	span := "&timespan=" + url.QueryEscape("2026-11-23T11:57:00Z/2026-11-23T12:02:00Z")
	cpu := "Percentage CPU: 11:57 map[] 11:58 map[average:1] 11:59 map[average:2] 12:00 map[average:3] 12:01 map[average:4]"
	for name, c := range map[string]struct{ path, want string }{
		"a host, by the minute":   {at(h.ID.String(), "metrics", span+"&metricnames=Percentage%20CPU"), cpu},
		"as azure-cli escapes it": {at(h.ID.String(), "metrics", strings.ReplaceAll(span, "%3A", "%253A")+"&metricnames=Percentage%2520CPU"), cpu},
		"its machine, the same":   {at(vm.String(), "metrics", span+"&metricnames=percentage+cpu"), cpu},
		"by five, all that is asked for": {at(h.ID.String(), "metrics", span+"&interval=PT5M&aggregation=Average,Minimum,Maximum&metricnames=Percentage+CPU,Round+Trip+Time"),
			"Percentage CPU: 11:55 map[average:1.5 maximum:2 minimum:1] 12:00 map[average:3.5 maximum:4 minimum:3] Round Trip Time: 11:55 map[average:3.5 maximum:3.5 minimum:3.5] 12:00 map[average:3.5 maximum:3.5 minimum:3.5]"},
		"a pool, whose host has fallen silent": {at(poolID("hp1").String(), "metrics", "&interval=PT1H&metricnames=Session+Hosts,Available+Session+Hosts,Active+Sessions"),
			"Session Hosts: 11:00 map[average:1] 12:00 map[average:1] Available Session Hosts: 11:00 map[average:0] 12:00 map[average:0] Active Sessions: 11:00 map[average:1] 12:00 map[average:1]"},
		"metadata alone": {at(h.ID.String(), "metrics", "&resultType=Metadata&metricnames=Load+Average"), "Load Average:"},
	} {
		if got := metric(d.must(200, "GET", c.path, "")); got != c.want {
			t.Errorf("%s:\n%s, not\n%s", name, got, c.want)
		}
	}
	defs := d.must(200, "GET", at(h.ID.String(), "metricDefinitions", ""), "")["value"].([]any)
	if len(defs) != 7 || defs[0].(map[string]any)["primaryAggregationType"] != "Average" {
		t.Errorf("definitions: %v", defs)
	}
	if r := d.send("reader", "GET", at(h.ID.String(), "metrics", ""), ""); r.status != 200 {
		t.Errorf("to a Reader: %d %s", r.status, r.raw)
	}
}

func TestMetricsThatCannotBeAskedForSayWhy(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	h := d.host("hp1", "sh-0", true)
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"&metricnames=Nothing":                          {400, "Valid metrics: Percentage CPU, "},
		"&interval=PT2M":                                {400, "one of PT1M, PT5M"},
		"&timespan=yesterday":                           {400, "two ISO 8601 dates"},
		"&timespan=2026-11-02/2026-11-01":               {400, "the first the earlier"},
		"&timespan=2026-11-01/2026-11-29&interval=PT1M": {400, "more than 3000 points"},
		"&aggregation=Sum":                              {400, "Average, Minimum or Maximum"},
		"&resultType=Some":                              {400, "Data or Metadata"},
		"&metricnamespace=Other":                        {400, "hostPools/sessionHosts"},
	} {
		r := d.send("owner", "GET", h.ID.String()+"/providers/Microsoft.Insights/metrics"+metricsVersion+query, "")
		if r.status != want.status || !strings.Contains(string(r.raw), want.says) {
			t.Errorf("%s: %d %s", query, r.status, r.raw)
		}
	}
	if r := d.send("owner", "GET", rgScope+"/providers/Microsoft.Insights/metrics"+metricsVersion, ""); r.status != 400 {
		t.Errorf("of a resource group: %d %s", r.status, r.raw)
	}
	if r := d.send("guest", "GET", h.ID.String()+"/providers/Microsoft.Insights/metrics"+metricsVersion, ""); r.status != 403 {
		t.Errorf("to a stranger: %d %s", r.status, r.raw)
	}
}
