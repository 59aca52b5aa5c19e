package deskyard

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/deskyard/deskyard/arm"
)

// models are the properties of every type of Microsoft.DesktopVirtualization.
var models = map[string]func() Model{
	"hostPool":         func() Model { return new(HostPool) },
	"applicationGroup": func() Model { return new(ApplicationGroup) },
	"application":      func() Model { return new(Application) },
	"desktop":          func() Model { return new(Desktop) },
	"workspace":        func() Model { return new(Workspace) },
	"scalingPlan":      func() Model { return new(ScalingPlan) },
	"pooledSchedule":   func() Model { return new(PooledSchedule) },
	"personalSchedule": func() Model { return new(PersonalSchedule) },
	"msixPackage":      func() Model { return new(MSIXPackage) },
	"appAttachPackage": func() Model { return new(AppAttachPackage) },
	"privateEndpoint":  func() Model { return new(PrivateEndpointConnection) },
}

func TestEveryModelComesBackFromJSONAsItWas(t *testing.T) {
	for name, make := range models {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			m := make()
			fill(t, reflect.ValueOf(m).Elem())
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			back := make()
			if err := json.Unmarshal(data, back); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if !reflect.DeepEqual(m, back) {
				t.Fatalf("from %+v\n  to %+v\nby %s", m, back, data)
			}
		}))
	}
}

// What the service stores was brought to canonical form; storing it again, as a
// PATCH of something else does, must not change it.
func TestDefaultingTwiceIsDefaultingOnce(t *testing.T) {
	for name, make := range models {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			m := make()
			fill(t, reflect.ValueOf(m).Elem())
			m.Default(nil)
			once, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			old := make()
			if err := json.Unmarshal(once, old); err != nil {
				t.Fatal(err)
			}
			m.Default(old)
			twice, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if string(once) != string(twice) {
				t.Fatalf("once %s\ntwice %s", once, twice)
			}
		}))
	}
}

func TestValidateAnswersForEveryBody(t *testing.T) {
	for name, make := range models {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			m, old := make(), make()
			fill(t, reflect.ValueOf(m).Elem())
			fill(t, reflect.ValueOf(old).Elem())
			m.Default(old)
			var v arm.Violations
			m.Validate(old, &v)
			for _, fault := range v {
				if !strings.HasPrefix(fault.Target, "properties") || fault.Message == "" {
					t.Fatalf("a fault without its place: %+v", fault)
				}
			}
			for _, ref := range m.Refs() {
				if ref.Relation == "" || ref.Target.IsZero() {
					t.Fatalf("a ref to nothing: %+v", ref)
				}
			}
		}))
	}
}

// fill gives a value random content.
func fill(t *rapid.T, v reflect.Value) {
	if v.Type() == reflect.TypeFor[arm.Time]() {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "time"), rapid.Int64Range(0, 9999999).Draw(t, "ticks")*100).UTC()
		v.Set(reflect.ValueOf(arm.Time{Time: at}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
			return
		}
		n := rapid.IntRange(1, 3).Draw(t, "length") // [] and null both read as empty
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom([]string{"", "Pooled", "personal", "Monday", "none", "x", "Ärger", "UTC",
			"/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/hp1",
			"/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/applicationGroups/ag"}).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "number")))
	default:
		t.Fatalf("fill does not know %s", v.Type())
	}
}

func TestIntegersAreReadFromTextToo(t *testing.T) {
	for in, want := range map[string]int{`5`: 5, `"99999"`: 99999, `" 7 "`: 7, `-1`: -1} {
		var n Integer
		if err := json.Unmarshal([]byte(in), &n); err != nil || int(n) != want {
			t.Errorf("%s is %d, %v", in, n, err)
		}
	}
	for _, in := range []string{`""`, `"five"`, `1.5`, `99999999999`, `true`, `[]`, `{}`} {
		var n Integer
		if err := json.Unmarshal([]byte(in), &n); err == nil {
			t.Errorf("%s was read as %d", in, n)
		}
	}
}

func TestATimeOfDayIsReadFromOldTimestampsToo(t *testing.T) {
	for _, in := range []string{`{"hour":6,"minute":30}`, `"2021-07-12T06:30:00Z"`} {
		var c ClockTime
		if err := json.Unmarshal([]byte(in), &c); err != nil || c != (ClockTime{6, 30}) {
			t.Errorf("%s is %v, %v", in, c, err)
		}
	}
	if err := json.Unmarshal([]byte(`"morning"`), new(ClockTime)); err == nil {
		t.Error("\"morning\" was read as a time")
	}
}

func FuzzModelsTakeAnyObject(f *testing.F) {
	for _, body := range []string{
		`{}`, `{"hostPoolType":"Shared","agentUpdate":{"maintenanceWindows":[null,{}]},"maxSessionLimit":"9"}`,
		`{"schedules":[{"name":null,"rampUpStartTime":"2021-07-12T06:30:00Z"}],"hostPoolReferences":[{}],"timeZone":"UTC"}`,
		`{"daysOfWeek":["monday",""],"rampUpStartTime":{},"peakStartTime":{"hour":"7"}}`,
		`{"image":{"packageApplications":[{"rawIcon":"AA=="}]},"hostPoolReferences":["/",null]}`,
		`{"privateLinkServiceConnectionState":{},"applicationGroupReferences":["x"],"hostPoolArmPath":"//"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, make := range models {
			m := make()
			if json.Unmarshal(body, m) != nil {
				continue
			}
			m.Default(nil)
			var v arm.Violations
			m.Validate(nil, &v)
			m.Validate(m, &v)
			m.Refs()
			if _, err := json.Marshal(m); err != nil {
				t.Fatalf("%s cannot be stored: %v", name, err)
			}
		}
	})
}
