package template

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpusCase is an expression with the result that Microsoft's reference of
// template functions documents for it, or a part of the error that must come.
type corpusCase struct {
	Function   string
	Expression string
	Parameters map[string]json.RawMessage
	Default    bool // the expression is the default of a parameter
	Result     json.RawMessage
	Error      string
}

func readCorpus(t testing.TB) []corpusCase {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []corpusCase
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var cases []corpusCase
		if err := json.Unmarshal(b, &cases); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all = append(all, cases...)
	}
	return all
}

// template is the case as a whole template with one output.
func (c corpusCase) template(t testing.TB) (src, params string) {
	t.Helper()
	declared, given := map[string]any{}, map[string]any{}
	for name, v := range c.Parameters {
		typ := map[byte]string{'{': "object", '[': "array", '"': "string", 't': "bool", 'f': "bool"}[v[0]]
		if typ == "" {
			typ = "int"
		}
		declared[name], given[name] = map[string]any{"type": typ}, map[string]any{"value": v}
	}
	value := c.Expression
	if c.Default {
		declared["d"] = map[string]any{"type": "string", "defaultValue": c.Expression}
		value = "[parameters('d')]"
	}
	doc, err := json.Marshal(map[string]any{"$schema": "x", "contentVersion": "1.0.0.0", "parameters": declared, "resources": []any{},
		"outputs": map[string]any{"o": map[string]any{"value": value}}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc), string(p)
}

func (c corpusCase) run(t testing.TB) (Value, error) {
	src, params := c.template(t)
	tm, err := ParseBytes([]byte(src))
	if err != nil {
		return Value{}, err
	}
	env := testEnv()
	env.Providers = func(namespace, typ string) (Value, bool) {
		return ObjectOf("resourceType", String(typ), "locations", Array(String("westeurope")), "zoneMappings",
			Array(ObjectOf("location", String("West Europe"), "zones", Array(String("1"), String("2"), String("3"))))), namespace == "Microsoft.Compute"
	}
	b, err := Bind(tm, mustJSON(t, params), env)
	if err != nil {
		return Value{}, err
	}
	p, err := b.Expand()
	if err != nil {
		return Value{}, err
	}
	outs, err := p.Outputs(context.Background(), nil)
	if err != nil {
		return Value{}, err
	}
	return outs[0].Value, nil
}

func TestEachExpressionHasItsDocumentedResult(t *testing.T) {
	for _, c := range readCorpus(t) {
		got, err := c.run(t)
		switch {
		case c.Error != "":
			if err == nil || !strings.Contains(err.Error(), c.Error) {
				t.Errorf("%s: %v, %v; want the error %q", c.Expression, got, err, c.Error)
			}
		case err != nil:
			t.Errorf("%s: %v", c.Expression, err)
		default:
			want := mustJSON(t, string(c.Result))
			if !got.Equal(want) || got.Kind() != want.Kind() || got.Kind() == KindObject && strings.Join(got.Object().Names(), ",") != strings.Join(want.Object().Names(), ",") {
				t.Errorf("%s is %s, want %s", c.Expression, got, want)
			}
		}
	}
}

func TestTheCorpusCoversEveryFunction(t *testing.T) {
	functionNamed("concat")                                           // make the table
	covered := map[string]bool{"reference": true, "references": true} // with resources: see runtime_test.go
	for _, c := range readCorpus(t) {
		covered[strings.ToLower(c.Function)] = true
	}
	for name, fn := range functions.byName {
		if !covered[name] {
			t.Errorf("the corpus has no case of %s", fn.name)
		}
	}
}

// names of Microsoft's reference of template functions, so that none is forgotten.
const documented = `array concat contains createArray empty first flatten indexOf intersection last lastIndexOf length max min range skip take tryGet union
parseCidr cidrSubnet cidrHost coalesce equals greater greaterOrEquals less lessOrEquals dateTimeAdd dateTimeFromEpoch dateTimeToEpoch utcNow
deployment environment parameters variables filter groupBy map mapValues reduce sort toObject lambda lambdaVariables and bool false if not or true
add copyIndex div float int mod mul sub createObject items json null objectKeys shallowMerge extensionResourceId listKeys listSecrets listAccountSas
managementGroupResourceId pickZones providers reference references resourceId subscriptionResourceId tenantResourceId managementGroup resourceGroup
subscription tenant base64 base64ToJson base64ToString dataUri dataUriToString endsWith format guid join newGuid padLeft replace split startsWith
string substring toLower toUpper trim uniqueString uri uriComponent uriComponentToString`

func TestEveryDocumentedFunctionExistsInAnyCase(t *testing.T) {
	for _, name := range strings.Fields(documented) {
		if functionNamed(name) == nil || functionNamed(strings.ToUpper(name)) == nil {
			t.Errorf("there is no function %s", name)
		}
	}
}
