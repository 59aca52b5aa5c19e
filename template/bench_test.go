package template

import (
	"strings"
	"testing"
)

// BenchmarkExpand400Machines parses, binds and expands Microsoft's template of
// session hosts with its six loops for 400 machines, all bodies evaluated.
func BenchmarkExpand400Machines(b *testing.B) {
	src := microsoft(b, "nestedtemplates/managedDisks-galleryvm.json")
	first, err := ParseBytes(src)
	if err != nil {
		b.Fatal(err)
	}
	given := NewObject()
	for _, p := range first.Parameters {
		if p.Required {
			v := map[string]Value{"string": String("x"), "securestring": String("s"), "int": Int(400), "bool": Bool(false), "object": ObjectOf(), "array": Array()}[strings.ToLower(p.Type)]
			if allowed := p.spec.Member("allowedValues").Items(); len(allowed) > 0 {
				v = allowed[0]
			}
			given.Set(p.Name, ObjectOf("value", v))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		tm, err := ParseBytes(src)
		if err != nil {
			b.Fatal(err)
		}
		bound, err := Bind(tm, Of(given), testEnv())
		if err != nil {
			b.Fatal(err)
		}
		p, err := bound.Expand()
		if err != nil {
			b.Fatal(err)
		}
		if len(p.Nodes) < 2000 {
			b.Fatalf("%d nodes", len(p.Nodes))
		}
	}
}
