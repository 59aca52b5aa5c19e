package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func bindOnly(t testing.TB, src, params string) (*Bound, error) {
	t.Helper()
	tm, err := ParseBytes([]byte(src))
	if err != nil {
		return nil, err
	}
	return Bind(tm, mustJSON(t, params), testEnv())
}

func TestParametersAreHeldAgainstTheirDeclaration(t *testing.T) {
	for _, c := range []struct{ spec, value, want string }{
		{`{"type": "string"}`, `{"value": 1}`, "Expected a value of type 'String', but received a value of type 'Integer'."},
		{`{"type": "int"}`, `{"value": "1"}`, "Expected a value of type 'Integer', but received a value of type 'String'."},
		{`{"type": "int"}`, `{"value": 5.0}`, ""},
		{`{"type": "bool"}`, `{"value": "true"}`, "Expected a value of type 'Boolean'"},
		{`{"type": "Array"}`, `{"value": {}}`, "Expected a value of type 'Array'"},
		{`{"type": "string", "minLength": 3}`, `{"value": "ab"}`, "Length of the value should be greater than or equal to '3'."},
		{`{"type": "array", "maxLength": 1}`, `{"value": [1, 2]}`, "Length of the value should be less than or equal to '1'."},
		{`{"type": "int", "minValue": 1, "maxValue": 400}`, `{"value": 401}`, "The value should be less than or equal to '400'."},
		{`{"type": "int", "minValue": 1}`, `{"value": 0}`, "The value should be greater than or equal to '1'."},
		{`{"type": "string", "allowedValues": ["A", "B"]}`, `{"value": "C"}`, "The value 'C' is not part of the allowed value(s): 'A,B'."},
		{`{"type": "string", "allowedValues": ["A", "B"]}`, `{"value": "a"}`, ""},
		{`{"type": "array", "allowedValues": ["A", "B"]}`, `{"value": ["B"]}`, ""},
		{`{"type": "securestring", "allowedValues": ["A"]}`, `{"value": "hidden"}`, "The value 'redacted' is not part"},
		{`{"type": "string"}`, `{}`, "is not provided"},
		{`{"type": "string"}`, `{"value": null}`, "is not provided"},
		{`{"type": "string", "nullable": true}`, `{"value": null}`, ""},
		{`{"type": "string"}`, `{"reference": {"keyVault": {"id": "k"}, "secretName": "s"}}`, "References to a key vault are not supported"},
		{`{"type": "string"}`, `"bare"`, "given as an object with the property 'value'"},
		{`{"type": "string", "defaultValue": 5}`, `{}`, "Expected a value of type 'String'"},
		{`{"type": "text"}`, `{"value": ""}`, "It is one of 'string, securestring"},
		{`{"$ref": "#/definitions/size"}`, `{"value": "tiny"}`, "not part of the allowed value(s): 'small,big'"},
		{`{"type": "object", "properties": {"a": {"type": "int"}, "b": {"type": "string", "nullable": true}}, "additionalProperties": false}`, `{"value": {"c": 1}}`, "At 'c': The property is not allowed"},
		{`{"type": "object", "properties": {"a": {"type": "int"}}}`, `{"value": {}}`, "At 'a': The property is required"},
		{`{"type": "array", "items": {"type": "int", "maxValue": 3}}`, `{"value": [1, 4]}`, "At '[1]': The value should be less"},
		{`{"type": "array", "prefixItems": [{"type": "int"}], "items": false}`, `{"value": [1, 2]}`, "The array may have 1 elements"},
		{`{"type": "object", "discriminator": {"propertyName": "kind", "mapping": {"x": {"type": "object", "properties": {"n": {"type": "int"}}}}}}`, `{"value": {"kind": "x", "n": "1"}}`, "At 'n': Expected a value of type 'Integer'"},
		{`{"$ref": "#/definitions/loop"}`, `{"value": 1}`, "refers to itself deeper"},
	} {
		src := `{"languageVersion": "2.0", "definitions": {"size": {"type": "string", "allowedValues": ["small", "big"]}, "loop": {"$ref": "#/definitions/loop"}},
			"parameters": {"p": ` + c.spec + `}, "resources": []}`
		given := `{"p": ` + c.value + `}`
		_, err := bindOnly(t, src, given)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %s: %v, want %q", c.spec, c.value, err, c.want)
		}
	}
}

func TestDefaultsMayReferToEachOtherButNotInACircle(t *testing.T) {
	b, err := bindOnly(t, `{"parameters": {"a": {"type": "string", "defaultValue": "[concat(parameters('b'), '-', newGuid())]"}, "b": {"type": "string", "defaultValue": "[utcNow('yyyy')]"}}, "resources": []}`, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Parameters().String(); got != `{"a":{"value":"2019-00000000-0000-0000-0000-000000000001"},"b":{"value":"2019"}}` {
		t.Errorf("parameters %s", got)
	}
	again, err := Bind(b.template, b.Parameters(), Env{}) // nothing is asked again
	if err != nil || !again.Parameters().Equal(b.Parameters()) {
		t.Errorf("bound again: %v, %v", again, err)
	}
	_, err = bindOnly(t, `{"parameters": {"a": {"type": "string", "defaultValue": "[parameters('b')]"}, "b": {"type": "string", "defaultValue": "[parameters('a')]"}}, "resources": []}`, `{}`)
	if err == nil || !strings.Contains(err.Error(), "refer to each other") {
		t.Errorf("a circle: %v", err)
	}
}

func TestASecretStaysMarkedWhateverIsMadeOfIt(t *testing.T) {
	const secret = "s3cr3t-value"
	for expression, marked := range map[string]bool{
		"parameters('pw')":                                      true,
		"concat('x', parameters('pw'))":                         true,
		"format('{0}!', parameters('pw'))":                      true,
		"base64(parameters('pw'))":                              true,
		"split(parameters('pw'), '-')":                          true,
		"first(split(parameters('pw'), '-'))":                   true,
		"take(parameters('pw'), 3)":                             true,
		"first(parameters('pw'))":                               true,
		"if(true(), parameters('pw'), 'x')":                     true,
		"coalesce(null(), parameters('pw'))":                    true,
		"createObject('a', parameters('pw')).a":                 true,
		"createArray('b', parameters('pw'))":                    true,
		"json(concat('{\"p\": \"', parameters('pw'), '\"}')).p": true,
		"string(createObject('p', parameters('pw')))":           true,
		"union(createObject('a', 1), parameters('o')).k.deep":   true,
		"parameters('o').k":                                     true,
		"objectKeys(parameters('o'))":                           true,
		"items(parameters('o'))":                                true,
		"map(createArray(parameters('pw')), lambda('v', toUpper(lambdaVariables('v'))))":                                  true,
		"reduce(createArray(parameters('pw')), '', lambda('a', 'b', concat(lambdaVariables('a'), lambdaVariables('b'))))": true,
		"variables('made')":                                   true,
		"ns.wrap(parameters('pw'))":                           true,
		"uniqueString(parameters('pw'))":                      true,
		"tryGet(parameters('o'), 'k', 'deep')":                true,
		"replace('a-b', '-', parameters('pw'))":               true,
		"empty(parameters('pw'))":                             false,
		"length(parameters('pw'))":                            false,
		"equals(parameters('pw'), 'x')":                       false,
		"if(empty(parameters('pw')), 'a', 'b')":               false,
		"createObject('a', parameters('pw'), 'b', 'plain').b": false,
	} {
		src, err := json.Marshal(map[string]any{
			"parameters": map[string]any{"pw": map[string]any{"type": "securestring"}, "o": map[string]any{"type": "secureObject"}},
			"variables":  map[string]any{"made": "[concat(parameters('pw'), '!')]"},
			"functions": []any{map[string]any{"namespace": "ns", "members": map[string]any{"wrap": map[string]any{
				"parameters": []any{map[string]any{"name": "v", "type": "string"}}, "output": map[string]any{"type": "string", "value": "[concat('<', parameters('v'), '>')]"}}}}},
			"resources": []any{}, "outputs": map[string]any{"o": map[string]any{"value": "[" + expression + "]"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		p := mustPlan(t, string(src), `{"pw": {"value": "`+secret+`"}, "o": {"value": {"k": {"deep": "`+secret+`"}}}}`)
		outs, err := p.Outputs(t.Context(), nil)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		v := outs[0].Value
		if v.HasSecure() != marked {
			t.Errorf("%s: marked %v", expression, v.HasSecure())
		}
		shown, err := json.Marshal(v)
		if err != nil || strings.Contains(string(shown)+v.String()+v.LogValue().String(), "s3cr") {
			t.Errorf("%s shows %s", expression, shown)
		}
	}
}

func TestAnErrorShowsNoSecret(t *testing.T) {
	for _, expression := range []string{"int(parameters('pw'))", "bool(parameters('pw'))", "parameters('o')[parameters('pw')]", "json(parameters('pw'))", "parseCidr(parameters('pw'))", "createObject('k', createObject(parameters('pw'), 1)).k.x"} {
		_, err := plan(t, `{"parameters": {"pw": {"type": "securestring"}, "o": {"type": "object", "defaultValue": {}}}, "resources": [`+vm("a", `"tags": {"x": "[`+expression+`]"}`)+`]}`, `{"pw": {"value": "s3cr3t"}}`)
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

func TestAVariableThatNothingUsesMayBeWrong(t *testing.T) {
	src := `{"parameters": {"zones": {"type": "array", "defaultValue": []}}, "variables": {"first": "[parameters('zones')[0]]", "a": "[variables('b')]", "b": "[variables('a')]"}, "resources": [`
	mustPlan(t, src+`]}`, `{}`)
	_, err := plan(t, src+vm("vm", `"zones": ["[variables('first')]"]`)+`]}`, `{}`)
	var e *Error
	if !errors.As(err, &e) || e.Path != "variables.first" || !strings.Contains(e.Message, "The template variable 'first' at line '1'") {
		t.Errorf("%v", err)
	}
	if _, err = plan(t, src+vm("[variables('a')]", "")+`]}`, `{}`); err == nil || !strings.Contains(err.Error(), "refers to itself") {
		t.Errorf("a circle of variables: %v", err)
	}
}

func TestATemplateIsCheckedWhole(t *testing.T) {
	_, err := ParseBytes([]byte(`{"resources": [{"type": "a/b", "name": "x"}, {"type": "a/b", "name": "[oops()]", "apiVersion": "1"}], "outputs": {"o": {"value": "[concat('a'"}, "p": {"value": "[concat('a']"}}}`))
	var e *Error
	if !errors.As(err, &e) || len(e.Details) != 3 {
		t.Fatalf("%v", err)
	}
	for i, want := range []string{"The apiVersion property is required", "'oops' is not valid", "expected ',' or ')'"} {
		if !strings.Contains(e.Details[i].Message, want) {
			t.Errorf("fault %d: %s", i, e.Details[i].Message)
		}
	}
	for src, want := range map[string]string{`[]`: "must be an object", `{}`: "Required property 'resources' not found", `{"resources": [], "variables": []}`: "must be an object"} {
		if _, err := ParseBytes([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", src, err)
		}
	}
}
