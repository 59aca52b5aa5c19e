package cli

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShorthandReadsWhatAzTakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"expiration-time=2026-01-01T00:00:00Z", "registration-token-operation=Update"}, `{"expiration-time":"2026-01-01T00:00:00Z","registration-token-operation":"Update"}`},
		{[]string{"a.b=1", "a.c='x y'", "d=null"}, `{"a":{"b":"1","c":"x y"},"d":null}`},
		{[]string{`{"a":1,"b":[true,null]}`}, `{"a":1,"b":[true,null]}`},
		{[]string{"{a:1,b:{c:'it'/s',d:[x, 'y,z']},e:null}"}, `{"a":"1","b":{"c":"it's","d":["x","y,z"]},"e":null}`},
		{[]string{"a=", ""}, `{"a":""}`},
		{[]string{"l=[a,b]"}, `{"l":["a","b"]}`},
		{[]string{"u=https://x/?a=b&c={d}"}, `{"u":"https://x/?a=b&c={d}"}`},
	} {
		got, err := parseShorthand(c.args)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(t, string(text), c.want) {
			t.Errorf("%q gave %s, want %s", c.args, text, c.want)
		}
	}
	for _, bad := range []string{"novalue", "=x", "{a:1", "{a}", "{a:1}b", "a=[x", "{:1}"} {
		if got, err := parseShorthand([]string{bad}); err == nil {
			t.Errorf("%q was taken as %v", bad, got)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%s: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}

func TestTagsKeepTheirNamesAsTheyAre(t *testing.T) {
	got, err := parseTags([]string{"cost.center=1=2", "stage", `{"a b":"c"}`})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"cost.center": "1=2", "stage": "", "a b": "c"}, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func FuzzShorthandNeverPanics(f *testing.F) {
	f.Add("a.b[0].c={d:[e,'f'/g'],h:null}")
	f.Add("{a:{b:{c:[[[1]]]}}}")
	f.Add("a[=1")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseShorthand([]string{s})
		if err != nil {
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%q gave what JSON cannot hold: %v", s, err)
		}
	})
}
