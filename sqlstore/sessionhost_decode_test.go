package sqlstore

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// randomHost fills every member of a host, at every depth, by reflection: a new
// member is filled too.
func randomHost(t *rapid.T, text *rapid.Generator[string]) deskyard.SessionHost {
	var h deskyard.SessionHost
	randomValue(t, reflect.ValueOf(&h).Elem(), text)
	h.Version = 0 // kept in a column
	return h
}

func randomValue(t *rapid.T, v reflect.Value, text *rapid.Generator[string]) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()))
		return
	case arm.ResourceID:
		v.Set(reflect.ValueOf(arm.MustParseID("/subscriptions/S/resourceGroups/G/providers/N/hostPools/p/sessionHosts/h")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text.Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(rapid.Int().Draw(t, "int")))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8().Draw(t, "byte")))
	case reflect.Struct:
		for i := range v.NumField() {
			randomValue(t, v.Field(i), text)
		}
	case reflect.Slice:
		n := rapid.IntRange(-1, 3).Draw(t, "length")
		if n < 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			randomValue(t, v.Index(i), text)
		}
	default:
		t.Fatalf("a %s: teach randomValue and decodeHost about it", v.Type())
	}
}

func TestASessionHostDecodesAsEncodingJSONDecodesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(randomHost(t, rapid.OneOf(rapid.StringMatching(`[a-z0-9 <&"\\]{0,9}`), rapid.String())))
		if err != nil {
			t.Fatal(err)
		}
		var want deskyard.SessionHost
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got, err := decodeHost(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s: (-want +got)\n%s", text, d)
		}
	})
}

func TestEveryMemberOfASessionHostIsReadDirectly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(randomHost(t, rapid.StringMatching(`[a-z"<]{1,9}`)))
		if err != nil {
			t.Fatal(err)
		}
		c := plainJSON{all: string(text)}
		if !c.host(&deskyard.SessionHost{}) || !c.finished() {
			t.Fatalf("add to decodeHost what is before %q", c.all[c.next:])
		}
	})
}

func FuzzDecodeHost(f *testing.F) {
	f.Add(`{"ID":"/subscriptions/s","PublicKey":"AAE=","Report":{"checks":[{"name":"n","code":-1}],"sessions":null,"stopping":true}}`)
	f.Add(`{"ID":"x","Epoch":"\u0041\"","Machine":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := decodeHost(text); err != nil && json.Unmarshal([]byte(text), &deskyard.SessionHost{}) == nil {
			t.Fatalf("%q: %v, which encoding/json reads", text, err)
		}
	})
}
