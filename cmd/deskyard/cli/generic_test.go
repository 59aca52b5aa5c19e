package cli

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func parseObject(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGenericUpdateChangesTheResourceAsAzDoes(t *testing.T) {
	const before = `{"tags":{"a":"1"},"properties":{"friendlyName":"x","refs":["r0","r1"],"ring":1}}`
	for _, c := range []struct {
		g    genericUpdate
		want string // the patch
	}{
		{genericUpdate{Set: words{"friendlyName=y", "properties.ring=2"}}, `{"properties":{"friendlyName":"y","ring":2}}`},
		{genericUpdate{Set: words{"FriendlyName=null"}}, `{"properties":{"friendlyName":null}}`},
		{genericUpdate{Set: words{"tags.b=two", "friendlyName=x"}}, `{"tags":{"b":"two"}}`},
		{genericUpdate{Set: words{"friendlyName=7", "tags.a=2"}}, `{"tags":{"a":"2"},"properties":{"friendlyName":"7"}}`},
		{genericUpdate{Set: words{"ring=7"}, ForceString: true}, `{"properties":{"ring":"7"}}`},
		{genericUpdate{Add: words{"refs", "r2"}}, `{"properties":{"refs":["r0","r1","r2"]}}`},
		{genericUpdate{Remove: words{"refs", "0"}}, `{"properties":{"refs":["r1"]}}`},
		{genericUpdate{Set: words{"refs[1]=z"}}, `{"properties":{"refs":["r0","z"]}}`},
		{genericUpdate{Remove: words{"tags.a"}}, `{"tags":{"a":null}}`},
	} {
		was := parseObject(t, before)
		now := clone(was).(map[string]any)
		if err := c.g.apply(now); err != nil {
			t.Errorf("%+v: %v", c.g, err)
			continue
		}
		text, err := json.Marshal(mergePatch(was, now))
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(t, string(text), c.want) {
			t.Errorf("%+v gave the patch %s, want %s", c.g, text, c.want)
		}
	}
	for _, bad := range []genericUpdate{
		{Set: words{"noequals"}}, {Set: words{"friendlyName.x=1"}}, {Set: words{"refs[9]=1"}},
		{Add: words{"refs"}}, {Add: words{"friendlyName", "x"}}, {Remove: words{"nothing"}}, {Remove: words{"refs", "9"}},
	} {
		if err := bad.apply(parseObject(t, before)); ExitCode(err) != exitUsage {
			t.Errorf("%+v: %v, want a usage error", bad, err)
		}
	}
}

// jsonValue draws JSON values without null, which a merge patch cannot set.
func jsonValue(depth int) *rapid.Generator[any] {
	leaves := rapid.OneOf(
		rapid.Map(rapid.StringMatching(`[a-c]{0,2}`), func(s string) any { return s }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
	)
	if depth == 0 {
		return leaves
	}
	return rapid.OneOf(leaves,
		rapid.Map(rapid.MapOfN(rapid.StringMatching(`[a-c]`), jsonValue(depth-1), 0, 3), func(m map[string]any) any { return m }),
		rapid.Map(rapid.SliceOfN(jsonValue(0), 0, 2), func(l []any) any { return l }),
	)
}

// applyPatch is RFC 7396, section 2.
func applyPatch(target any, patch any) any {
	object, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := clone(target).(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for k, v := range object {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = applyPatch(out[k], v)
		}
	}
	return out
}

func TestMergePatchLeadsFromBeforeToAfter(t *testing.T) {
	object := rapid.MapOfN(rapid.StringMatching(`[a-c]`), jsonValue(2), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		before, after := object.Draw(t, "before"), object.Draw(t, "after")
		if diff := cmp.Diff(any(after), applyPatch(before, mergePatch(before, after))); diff != "" {
			t.Fatalf("patched (-after +got):\n%s", diff)
		}
	})
}

func FuzzPathsNeverPanic(f *testing.F) {
	f.Add("a.b[0]['x.y'].c")
	f.Add("a[[b]]..")
	f.Fuzz(func(t *testing.T, path string) {
		object := map[string]any{"a": []any{map[string]any{"b": "c"}}}
		parts := splitDots(path)
		if err := setPath(object, parts, "v"); err != nil {
			return
		}
		if got, ok := getPath(object, parts); !ok || got != "v" {
			t.Errorf("%q: set, but %v stands there", path, got)
		}
	})
}
