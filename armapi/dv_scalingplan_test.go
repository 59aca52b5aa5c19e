package armapi

import (
	"fmt"
	"strings"
	"testing"
)

const phases = `"rampUpStartTime":{"hour":6,"minute":0},"peakStartTime":{"hour":8,"minute":0},"rampDownStartTime":{"hour":18,"minute":0},"offPeakStartTime":{"hour":20,"minute":0}`

func scheduleBody(days, extra string) string {
	return fmt.Sprintf(`{"properties":{"daysOfWeek":%s,%s%s}}`, days, phases, extra)
}

func planBody(extra string) string {
	return `{"location":"centralus","properties":{"timeZone":"central standard time"` + extra + `}}`
}

func onPool(name string) string {
	return fmt.Sprintf(`,"hostPoolReferences":[{"hostPoolArmPath":%q,"scalingPlanEnabled":true}]`, poolID(name).String())
}

func TestAScalingPlanFitsItsHostPools(t *testing.T) {
	d := newDesk(t)
	d.pool("pooled", "")
	d.pool("personal", personalPool)
	plan := dv("scalingPlans/plan1")
	d.refused(400, "InvalidParameter", "timeZone", "PUT", plan, `{"location":"centralus","properties":{}}`)
	d.refused(400, "InvalidParameter", "Central Standard Time", "PUT", plan, `{"location":"centralus","properties":{"timeZone":"America/Chicago"}}`)
	d.refused(400, "HostPoolNotFound", "does not exist", "PUT", plan, planBody(onPool("nowhere")))
	d.refused(400, "InvalidHostPoolType", "Personal", "PUT", plan, planBody(onPool("personal")))
	d.refused(400, "LocationMismatch", "westus", "PUT", plan, strings.Replace(planBody(onPool("pooled")), "centralus", "westus", 1))
	d.refused(400, "InvalidParameter", "'Shared'", "PUT", plan, planBody(`,"hostPoolType":"Shared"`))
	p := d.must(201, "PUT", plan, planBody(onPool("pooled")))
	if p["timeZone"] != "Central Standard Time" || p["exclusionTag"] != "" || p["hostPoolType"] != "Pooled" {
		t.Errorf("answer %v", p)
	}
	d.refused(409, "HostPoolHasScalingPlan", "plan1", "PUT", dv("scalingPlans/plan2"), planBody(onPool("pooled")))
	d.refused(400, "InvalidParameter", "cannot be changed", "PATCH", plan, `{"properties":{"hostPoolType":"Personal"}}`)
	list := d.must(200, "GET", dv("hostPools/pooled/scalingPlans"), "")["value"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["name"] != "plan1" {
		t.Errorf("the pool's plans: %v", list)
	}
	d.must(201, "PUT", dv("scalingPlans/plan3"), planBody(`,"hostPoolType":"Personal"`+onPool("personal")))
}

func TestThePlansSchedulesAreItsPooledSchedules(t *testing.T) {
	d := newDesk(t)
	named := func(name, days string) string {
		return fmt.Sprintf(`{"name":%q,"daysOfWeek":%s,%s}`, name, days, phases)
	}
	plan := dv("scalingPlans/plan1")
	d.must(201, "PUT", plan, planBody(`,"schedules":[`+named("week", `["Monday","Tuesday"]`)+`,`+named("end", `["sunday"]`)+`]`))
	if got := d.pages(dv("scalingPlans/plan1/pooledSchedules")); len(got) != 2 || got[0] != "plan1/end" {
		t.Errorf("schedules %v", got)
	}
	p := d.must(200, "GET", dv("scalingPlans/plan1/pooledSchedules/end"), "")
	if p["rampDownStopHostsWhen"] != "ZeroSessions" || p["rampDownMinimumHostsPct"] != 0.0 || p["rampDownNotificationMessage"] != "" || p["scalingMethod"] != "PowerManage" {
		t.Errorf("defaults: %v", p)
	}
	d.refused(409, "ScheduleDaysOverlap", "Monday", "PUT", dv("scalingPlans/plan1/pooledSchedules/more"), scheduleBody(`["Monday"]`, ""))
	d.must(200, "PUT", dv("scalingPlans/plan1/pooledSchedules/more"), scheduleBody(`["Friday"]`, ""))
	if s := d.must(200, "GET", plan, "")["schedules"].([]any); len(s) != 3 {
		t.Errorf("the plan shows %d schedules, want 3", len(s))
	}
	d.must(200, "PATCH", plan, `{"properties":{"friendlyName":"Plan"}}`)
	if s := d.must(200, "GET", plan, "")["schedules"].([]any); len(s) != 3 {
		t.Errorf("a PATCH that says nothing of schedules left %d of 3", len(s))
	}
	d.must(200, "PUT", plan, planBody(`,"schedules":[`+named("week", `["Saturday"]`)+`]`))
	if got := d.pages(dv("scalingPlans/plan1/pooledSchedules")); len(got) != 1 || got[0] != "plan1/week" {
		t.Errorf("after a PUT with one schedule: %v", got)
	}
	d.refused(400, "InvalidParameter", "may be in one only", "PUT", plan, planBody(`,"schedules":[`+named("one", `["Monday"]`)+`,`+named("two", `["monday"]`)+`]`))
	d.refused(400, "InvalidScheduleType", "Pooled", "PUT", dv("scalingPlans/plan1/personalSchedules/week"), scheduleBody(`["Monday"]`, ""))
}

func TestOldVersionsHaveTimestampsForStartTimes(t *testing.T) {
	d := newDesk(t)
	plan := dvAt("scalingPlans/plan1", "2021-07-12")
	body := planBody(`,"schedules":[{"name":"week","daysOfWeek":["Monday"],"rampUpStartTime":"2021-07-12T06:30:00Z","peakStartTime":"2021-07-12T08:00:00Z",
		"rampDownStartTime":"2021-07-12T18:00:00Z","offPeakStartTime":"2021-07-12T20:00:00Z"}]`)
	p := d.must(201, "PUT", plan, body)
	if s := p["schedules"].([]any)[0].(map[string]any); s["rampUpStartTime"] != "2000-01-01T06:30:00Z" {
		t.Errorf("at 2021-07-12: %v", s)
	}
	p = d.must(200, "GET", dv("scalingPlans/plan1"), "")
	if s := p["schedules"].([]any)[0].(map[string]any); fmt.Sprint(s["rampUpStartTime"]) != "map[hour:6 minute:30]" {
		t.Errorf("at %s: %v", stableVersion, s)
	}
}

func TestBadSchedulesAreRefusedByName(t *testing.T) {
	d := newDesk(t)
	d.must(201, "PUT", dv("scalingPlans/shared"), planBody(""))
	d.must(201, "PUT", dv("scalingPlans/own"), planBody(`,"hostPoolType":"Personal"`))
	pooled, personal := dv("scalingPlans/shared/pooledSchedules/week"), dv("scalingPlans/own/personalSchedules/week")
	for _, bad := range []struct{ path, body, says string }{
		{pooled, scheduleBody(`[]`, ""), "at least one day"},
		{pooled, scheduleBody(`["Someday"]`, ""), "Someday"},
		{pooled, scheduleBody(`["Monday","monday"]`, ""), "twice"},
		{pooled, `{"properties":{"daysOfWeek":["Monday"]}}`, "rampUpStartTime"},
		{pooled, strings.Replace(scheduleBody(`["Monday"]`, ""), `"hour":8`, `"hour":19`, 1), "must lie after 'peakStartTime'"},
		{pooled, strings.Replace(scheduleBody(`["Monday"]`, ""), `"hour":8`, `"hour":24`, 1), "not a time of day"},
		{pooled, scheduleBody(`["Monday"]`, `,"rampUpMinimumHostsPct":101`), "between 0 and 100"},
		{pooled, scheduleBody(`["Monday"]`, `,"rampUpCapacityThresholdPct":0`), "between 1 and 100"},
		{pooled, scheduleBody(`["Monday"]`, `,"rampDownCapacityThresholdPct":101`), "between 1 and 100"},
		{pooled, scheduleBody(`["Monday"]`, `,"peakLoadBalancingAlgorithm":"Random"`), "Random"},
		{pooled, scheduleBody(`["Monday"]`, `,"rampDownStopHostsWhen":"Never"`), "Never"},
		{personal, scheduleBody(`["Monday"]`, `,"peakActionOnLogoff":"Explode"`), "Explode"},
		{personal, scheduleBody(`["Monday"]`, `,"rampUpAutoStartHosts":"Some"`), "Some"},
		{personal, scheduleBody(`["Monday"]`, `,"offPeakStartVMOnConnect":"Perhaps"`), "Perhaps"},
		{personal, scheduleBody(`["Monday"]`, `,"peakMinutesToWaitOnDisconnect":361`), "between 0 and 360"},
	} {
		r := d.send("owner", "PUT", bad.path, bad.body)
		if r.status != 400 || !strings.Contains(string(r.raw), bad.says) {
			t.Errorf("%s\n got %d %s\nwant 400 with %q", bad.body, r.status, r.raw, bad.says)
		}
	}
	p := d.must(200, "PUT", personal, scheduleBody(`["Monday"]`, ""))
	if p["peakActionOnLogoff"] != "None" || p["peakStartVMOnConnect"] != "Enable" || p["rampUpAutoStartHosts"] != "None" {
		t.Errorf("defaults: %v", p)
	}
	d.refused(404, "ParentResourceNotFound", "", "PUT", dv("scalingPlans/none/pooledSchedules/week"), scheduleBody(`["Monday"]`, ""))
}

func TestPackagesAndEndpointsAreRefusedByName(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	image := `"image":{"imagePath":"\\\\share\\a.vhdx"}`
	for _, bad := range []struct{ path, properties, says string }{
		{"hostPools/hp1/msixPackages/pkg", `"imagePath":"a"`, "packageFamilyName"},
		{"appAttachPackages/pkg", ``, "image"},
		{"appAttachPackages/pkg", image + `,"failHealthCheckOnStagingFailure":"Shrug"`, "Shrug"},
		{"appAttachPackages/pkg", image + `,"keyVaultURL":"here"`, "https"},
		{"appAttachPackages/pkg", image + `,"hostPoolReferences":["hp1"]`, "not the resource id"},
		{"appAttachPackages/pkg", image + `,"hostPoolReferences":["` + poolID("none").String() + `"]`, "does not exist"},
		{"appAttachPackages/pkg--two", image, "invalid"},
		{"appAttachPackages/Pkg", image, "invalid"},
		{"hostPools/hp1/privateEndpointConnections/pe", ``, "privateLinkServiceConnectionState"},
		{"hostPools/hp1/privateEndpointConnections/pe", `"privateLinkServiceConnectionState":{"status":"Maybe"}`, "Maybe"},
	} {
		r := d.send("owner", "PUT", dv(bad.path), `{"location":"centralus","properties":{`+bad.properties+`}}`)
		if r.status != 400 || !strings.Contains(string(r.raw), bad.says) {
			t.Errorf("%s %s\n got %d %s\nwant 400 with %q", bad.path, bad.properties, r.status, r.raw, bad.says)
		}
	}
	d.must(201, "PUT", dv("appAttachPackages/pkg"), `{"location":"centralus","properties":{`+image+`,"hostPoolReferences":["`+poolID("hp1").String()+`"]}}`)
	if refs := d.must(200, "GET", dv("hostPools/hp1"), "")["appAttachPackageReferences"].([]any); len(refs) != 1 || !strings.HasSuffix(refs[0].(string), "/appattachpackages/pkg") {
		t.Errorf("appAttachPackageReferences %v", refs)
	}
	for filter, want := range map[string]int{"hostPool eq 'HP1'": 1, "hostPool eq 'other'": 0, "packageName eq 'pkg'": 1, "resourceGroup eq 'rg1'": 1} {
		path := dv("appAttachPackages?$filter=" + strings.ReplaceAll(strings.ReplaceAll(filter, " ", "%20"), "'", "%27"))
		if got := d.pages(path); len(got) != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
	d.refused(409, "NoSessionHostAvailable", "none that is Available", "POST", dv("hostPools/hp1/expandMsixImage"), `{"uri":"a"}`)
	d.refused(400, "InvalidParameter", "uri", "POST", dv("hostPools/hp1/expandMsixImage"), `{}`)
	d.refused(400, "InvalidParameter", "sparc", "POST", dv("hostPools/hp1/importAppAttachPackageInfo"), `{"path":"a","packageArchitecture":"sparc"}`)
	d.must(200, "DELETE", dv("hostPools/hp1"), "")
	if refs := d.must(200, "GET", dv("appAttachPackages/pkg"), "")["hostPoolReferences"].([]any); len(refs) != 0 {
		t.Errorf("the package still points at the deleted pool: %v", refs)
	}
}
