package template

import (
	"encoding/json"
	"testing"
)

func TestDiffNamesEachPropertyThatChanges(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{`{"a": 1, "b": {"c": "x"}}`, `{"A": 1, "b": {"c": "x"}}`, `[]`},
		{`{"b": {"c": "x", "d": 1}}`, `{"b": {"c": "y", "e": [1]}}`,
			`[{"path":"b.c","propertyChangeType":"Modify","before":"x","after":"y","children":null},{"path":"b.d","propertyChangeType":"Delete","before":1,"after":null,"children":null},{"path":"b.e","propertyChangeType":"Create","before":null,"after":[1],"children":null}]`},
		{`{"l": ["a", "b"]}`, `{"l": ["b", "a", "c"]}`,
			`[{"path":"l","propertyChangeType":"Array","before":["a","b"],"after":["b","a","c"],"children":[{"path":"2","propertyChangeType":"Create","before":null,"after":"c","children":null}]}]`},
		{`{"l": [{"n": 1}, {"n": 2}]}`, `{"l": [{"n": 1}, {"n": 3}, {"n": 4}]}`,
			`[{"path":"l","propertyChangeType":"Array","before":[{"n":1},{"n":2}],"after":[{"n":1},{"n":3},{"n":4}],"children":[{"path":"1","propertyChangeType":"Modify","before":{"n":2},"after":{"n":3},"children":[{"path":"n","propertyChangeType":"Modify","before":2,"after":3,"children":null}]},{"path":"2","propertyChangeType":"Create","before":null,"after":{"n":4},"children":null}]}]`},
		{`{"x": null}`, `{"x": {"y": 1}}`, `[{"path":"x","propertyChangeType":"Create","before":null,"after":{"y":1},"children":null}]`},
		{`{"x": "text"}`, `{"x": {"y": 1}}`, `[{"path":"x","propertyChangeType":"Modify","before":"text","after":{"y":1},"children":null}]`},
	} {
		changes := Diff(mustJSON(t, c.before), mustJSON(t, c.after))
		if changes == nil {
			changes = []PropertyChange{}
		}
		got, err := json.Marshal(changes)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("from %s to %s:\n%s\nwant\n%s", c.before, c.after, got, c.want)
		}
	}
}

func TestDiffShowsNoSecret(t *testing.T) {
	got, err := json.Marshal(Diff(ObjectOf("p", String("old").AsSecure()), ObjectOf("p", String("new").AsSecure())))
	if err != nil || string(got) != `[{"path":"p","propertyChangeType":"Modify","before":"redacted","after":"redacted","children":null}]` {
		t.Fatalf("%s, %v", got, err)
	}
}
