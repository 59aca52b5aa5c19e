package template

import (
	"errors"
	"strings"
	"testing"
)

func TestAnExpressionFaultHasItsColumn(t *testing.T) {
	for src, want := range map[string]struct {
		off int
		msg string
	}{
		"[concat('a', oops(1))]": {13, "the template function 'oops' is not valid"},
		"[concat('a' 'b')]":      {12, "expected ',' or ')' and found '\\''"},
		"[concat('a', 'b]":       {13, "no closing quote"},
		"['abc]":                 {1, "no closing quote"},
		"[add(1, 2)) ]":          {10, "expected the end of the expression"},
		"[]":                     {1, "a value is missing"},
		"[add(1)]":               {1, "expects 2 argument(s) and was given 1"},
		"[concat]":               {7, "expected '('"},
		"[12x]":                  {1, "is not a whole number"},
		"[add(1, 2).]":           {11, "expected a property's name"},
		"[resourceGroup()[0]":    {18, "expected ']' and found its end"},
		"[" + strings.Repeat("not(", 200) + "1" + strings.Repeat(")", 200) + "]": {401, "nested deeper"},
	} {
		_, err := parseExpression(src)
		var f *faultAt
		var e *evalError
		switch {
		case errors.As(err, &f):
		case errors.As(err, &e):
			f = &faultAt{e.off, e.Error()}
		default:
			t.Errorf("%.40s: %v", src, err)
			continue
		}
		if f.off != want.off || !strings.Contains(f.msg, want.msg) {
			t.Errorf("%.40s: at %d: %s; want at %d: %s", src, f.off, f.msg, want.off, want.msg)
		}
	}
}

func TestAnExpressionMayHaveBlanksAndLines(t *testing.T) {
	p := mustPlan(t, "{\"resources\": [], \"outputs\": {\"o\": {\"value\": \"[ concat (\n 'a' ,\n\t string( add( 1 , -2 ) ) )  ]\"}}}", `{}`)
	outs, err := p.Outputs(t.Context(), nil)
	if err != nil || outs[0].Value.String() != `"a-1"` {
		t.Fatalf("outputs %v, %v", outs, err)
	}
	_, err = plan(t, "{\"resources\": [], \"outputs\": {\"o\": {\"value\": \"[concat(\n 'a',\n  add(1, - 2))]\"}}}", `{}`)
	var e *Error
	if !errors.As(err, &e) || e.Pos != (Pos{3, 10}) || e.Path != "outputs.o.value" {
		t.Fatalf("error %v at %v", err, e.Pos)
	}
}

func FuzzExpression(f *testing.F) {
	for _, c := range readCorpus(f) {
		if isExpression(c.Expression) {
			f.Add(c.Expression[1 : len(c.Expression)-1])
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s = "[" + s + "]"; !isExpression(s) {
			return
		}
		e, err := parseExpression(s)
		if err != nil {
			var at *faultAt
			if !errors.As(err, &at) || at.off < 0 || at.off > len(s) {
				t.Fatalf("a fault without a place: %#v", err)
			}
			return
		}
		tm, env := &Template{}, testEnv()
		env.Limits = Limits{Steps: 10_000, ValueBytes: 1 << 16, TotalBytes: 1 << 20}
		fr := &frame{scope: &scope{template: tm, env: &env, params: NewObject()}, ctx: t.Context(), meter: newMeter(env.Limits), resources: newResourceIndex(nil)}
		if v, err := fr.eval(e); err == nil && v.size > 1<<17 {
			t.Fatalf("a value of %d bytes", v.size)
		}
	})
}
