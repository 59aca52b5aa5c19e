package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTheReaderTakesWhatAzureCLISends(t *testing.T) {
	body := "{\"properties\": {\"parameters\": {\"a\": {\"value\": 1}}, \"mode\": \"Incremental\", template:{\n" +
		"  // a comment\n" +
		"  \"$schema\": \"s\", /* another\n one */ \"contentVersion\": \"1.0.0.0\",\n" +
		"  \"resources\": [],\n" +
		"  \"variables\": { \"long\": \"[concat('a',\n\t'b')]\", bad: \"[nonsense()]\" }\n" +
		"}\n}}"
	r, err := ReadDeployment([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if r.Mode != "Incremental" || r.Parameters.Member("A").Member("VALUE").Kind() != KindInt {
		t.Errorf("mode %q, parameters %s", r.Mode, r.Parameters)
	}
	if !json.Valid(r.Body.Reveal()) {
		t.Errorf("not JSON: %s", r.Body.Reveal())
	}
	_, err = Parse(r.Template)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	if e.Pos != (Pos{7, 17}) || e.Path != "variables.bad" || !strings.Contains(e.Message, "'nonsense' is not valid") {
		t.Errorf("%s at %v of %s", e.Message, e.Pos, e.Path)
	}
}

func TestTheReaderNamesTheLineOfAFault(t *testing.T) {
	for src, want := range map[string]string{
		"{\n \"a\": 1,\n \"A\": 2}":       "two members named 'A'. Path '', line 3, position 5.",
		"{\"a\": [1, 2,]}":                "line 1, position 13.",
		"{\"a\": [1, 2":                   "unexpected end of text",
		"{\"a\" 1}":                       "a colon is needed",
		"{\n\"a\": \"x\n":                 "a string has no end",
		"{} x":                            "after the end of the document",
		"/* ":                             "has no end",
		"{\"a\": 01}":                     "is not a number",
		"{\"a\": tru}":                    "where a value should begin",
		"{\"a\": \"\\x\"}":                "not an escape sequence",
		strings.Repeat("[", maxDepth+1):   "deeper than 100 levels",
		"":                                "a value is missing",
		"[" + strings.Repeat("1,", 1<<20): "has more than 1048576 values",
	} {
		_, err := ReadJSON([]byte(src))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", src, err, want)
		}
	}
}

// anyValue makes random values of every kind.
func anyValue(depth int) *rapid.Generator[Value] {
	scalar := rapid.OneOf(
		rapid.Just(Null()), rapid.Map(rapid.Bool(), Bool), rapid.Map(rapid.Int64(), Int), rapid.Map(rapid.String(), String),
		rapid.Map(rapid.Float64Range(-1e300, 1e300), Float),
	)
	if depth == 0 {
		return scalar
	}
	inner := rapid.Deferred(func() *rapid.Generator[Value] { return anyValue(depth - 1) })
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(inner, 0, 4), func(items []Value) Value { return Array(items...) }),
		rapid.Map(rapid.MapOfN(rapid.String(), inner, 0, 12), func(m map[string]Value) Value {
			o := NewObject()
			for k, v := range m {
				o.Set(k, v)
			}
			return Of(o)
		}))
}

func TestAValueSurvivesItsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(3).Draw(t, "value")
		b := v.Reveal()
		if !json.Valid(b) {
			t.Fatalf("not JSON: %s", b)
		}
		back, err := ReadJSON(b)
		if err != nil {
			t.Fatal(err)
		}
		if !back.Equal(v) {
			t.Fatalf("%s came back as %s", b, back.Reveal())
		}
	})
}

func TestALongLineCostsNoMoreThanManyShortOnes(t *testing.T) {
	src := []byte("[" + strings.Repeat("1,", 300_000) + "1]") // quadratic counting of columns would take minutes
	v, err := ReadJSON(src)
	if err != nil || v.Len() != 300_001 || v.Items()[300_000].Pos() != (Pos{1, 600_002}) {
		t.Fatalf("%d items, %v", v.Len(), err)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5, -3e4, true, null, "x\u00e9\n"]}`, "{a: 'b', // c\n /* d */ e: \"f\n\tg\"}", "\ufeff{}", `"\ud83d\ude00"`, `[[]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		v, err := ReadJSON(src)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Pos.Line < 1 || e.Pos.Column < 1 {
				t.Fatalf("a fault without a place: %#v", err)
			}
			return
		}
		out := v.Reveal()
		if !json.Valid(out) {
			t.Fatalf("%q became %q", src, out)
		}
		again, err := ReadJSON(out)
		if err != nil || !again.Equal(v) {
			t.Fatalf("%q came back as %q: %v", out, again.Reveal(), err)
		}
		if _, err := ReadDeployment(src); err != nil && v.Member("properties").Kind() == KindObject {
			t.Fatal(err)
		}
	})
}
