package armapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// description is Microsoft's own description of the API, ready to hold answers to.
type description struct {
	compiler   *jsonschema.Compiler
	operations []describedOperation
	schemas    map[string]*jsonschema.Schema
}

// describedOperation is one operation of the description.
type describedOperation struct {
	id, method, path string
	pattern          *regexp.Regexp
	responses        map[string]string // status or "default" -> URL of its schema, "" for no body
}

// apiFolder finds the description among the shared test input; the test is skipped
// where there is none.
func apiFolder(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("DESKYARD_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	folder := filepath.Join(shared, "data", "avd-api")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no API description at %s (DESKYARD_SHARED names another place)", folder)
	}
	return folder
}

const descriptionURL = "https://description.test/desktopvirtualization.json"

var pathVariable = regexp.MustCompile(`\\\{[^/]+?\\\}`)

// readDescription turns the Swagger 2.0 files into JSON schemas. What differs:
// references to the common types point at those files; a member that is not
// required may be null, since the service writes unset members as null (seen in
// recordings, whether the description says x-nullable or not); and the type of a
// scaling plan's host pools may be Personal, which the service takes and answers.
func readDescription(t *testing.T) *description {
	t.Helper()
	folder := apiFolder(t)
	d := &description{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.AssertFormat()
	main := readSwagger(t, filepath.Join(folder, "desktopvirtualization-2025-10-10.json"))
	common, err := filepath.Glob(filepath.Join(folder, "common-types", "resource-management", "v6", "*.json"))
	if err != nil || len(common) == 0 {
		t.Fatalf("find the common types: %v", err)
	}
	d.add(t, descriptionURL, main)
	for _, file := range common {
		d.add(t, commonURL(file), readSwagger(t, file))
	}
	d.readOperations(main)
	return d
}

func commonURL(file string) string {
	return "https://description.test/v6/" + path.Base(filepath.ToSlash(file))
}

func readSwagger(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return doc.(map[string]any)
}

func (d *description) add(t *testing.T, url string, doc map[string]any) {
	t.Helper()
	definitions := map[string]any{}
	for name, schema := range doc["definitions"].(map[string]any) {
		definitions[name] = asSchema(schema)
	}
	if err := d.compiler.AddResource(url, map[string]any{"definitions": definitions}); err != nil {
		t.Fatal(err)
	}
}

// asSchema rewrites one Swagger schema.
func asSchema(v any) any {
	in, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if x, ok := in["x-ms-enum"].(map[string]any); ok && x["name"] == "ScalingHostPoolType" {
		return map[string]any{"enum": []any{"Pooled", "Personal"}}
	}
	out := map[string]any{}
	for k, v := range in {
		switch k {
		case "$ref":
			ref := v.(string)
			if file, at, _ := strings.Cut(ref, "#"); file != "" {
				ref = commonURL(file) + "#" + at
			}
			out[k] = ref
		case "properties":
			out[k] = memberSchemas(v.(map[string]any), in["required"])
		case "items", "additionalProperties":
			out[k] = asSchema(v)
		case "allOf":
			var all []any
			for _, s := range v.([]any) {
				all = append(all, asSchema(s))
			}
			out[k] = all
		case "pattern":
			if !strings.Contains(v.(string), "(?!") { // Go's expressions have no look-ahead
				out[k] = v
			}
		case "type", "enum", "required", "minimum", "maximum", "minLength", "maxLength", "format":
			out[k] = v
		}
	}
	if in["x-nullable"] == true {
		return nullable(out)
	}
	return out
}

func memberSchemas(members map[string]any, required any) map[string]any {
	must := map[string]bool{}
	list, _ := required.([]any)
	for _, name := range list {
		must[name.(string)] = true
	}
	out := map[string]any{}
	for name, schema := range members {
		s := asSchema(schema)
		if !must[name] {
			s = nullable(s)
		}
		out[name] = s
	}
	return out
}

func nullable(schema any) any {
	return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, schema}}
}

// readOperations lists the operations; the schema of a response is where it stands
// in the definitions.
func (d *description) readOperations(main map[string]any) {
	for template, methods := range main["paths"].(map[string]any) {
		for method, v := range methods.(map[string]any) {
			op, ok := v.(map[string]any)
			if !ok || op["operationId"] == nil {
				continue
			}
			o := describedOperation{id: op["operationId"].(string), method: strings.ToUpper(method), path: template, responses: map[string]string{}}
			o.pattern = regexp.MustCompile(`(?i)^` + pathVariable.ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`) + `$`)
			for status, r := range op["responses"].(map[string]any) {
				o.responses[status] = ""
				if schema, ok := r.(map[string]any)["schema"].(map[string]any); ok {
					o.responses[status] = absoluteRef(schema["$ref"].(string))
				}
			}
			d.operations = append(d.operations, o)
		}
	}
}

func absoluteRef(ref string) string {
	file, at, _ := strings.Cut(ref, "#")
	if file == "" {
		return descriptionURL + "#" + at
	}
	return commonURL(file) + "#" + at
}

// find is the operation that a request is.
func (d *description) find(method, urlPath string) (describedOperation, error) {
	for _, o := range d.operations {
		if o.method == method && o.pattern.MatchString(urlPath) {
			return o, nil
		}
	}
	return describedOperation{}, fmt.Errorf("no operation is %s %s", method, urlPath)
}

// check holds an answer to its operation. The one departure is recorded: DELETE of
// a host pool answers the pool, where the description has no body.
func (d *description) check(o describedOperation, r reply) error {
	ref, listed := o.responses[fmt.Sprint(r.status)]
	switch {
	case !listed && r.status < 300:
		return fmt.Errorf("status %d is not one of the operation's", r.status)
	case !listed:
		ref = o.responses["default"]
	case o.id == "HostPools_Delete" && r.status == 200:
		ref = descriptionURL + "#/definitions/HostPool"
	}
	if ref == "" {
		if len(bytes.TrimSpace(r.raw)) > 0 {
			return fmt.Errorf("a body where there is none: %s", r.raw)
		}
		return nil
	}
	schema, err := d.schema(ref)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.raw))
	if err != nil {
		return fmt.Errorf("read the answer %q: %w", r.raw, err)
	}
	return schema.Validate(doc)
}

func (d *description) schema(ref string) (*jsonschema.Schema, error) {
	if s := d.schemas[ref]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(ref)
	d.schemas[ref] = s
	return s, err
}

// example is the body of one of Microsoft's examples, "" when it has none.
func example(t *testing.T, version, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(apiFolder(t), "examples-"+version, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Parameters map[string]json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, p := range doc.Parameters {
		if len(p) > 0 && p[0] == '{' {
			return string(p)
		}
	}
	return ""
}

func TestTheDescriptionRefusesAnAnswerThatBreaksIt(t *testing.T) {
	d := readDescription(t)
	o, err := d.find("GET", rgScope+"/providers/Microsoft.DesktopVirtualization/hostPools/hp1")
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{
		`{"location":"centralus"}`, // no properties
		`{"location":"centralus","properties":{"hostPoolType":"Shared","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}`,
		`{"location":"centralus","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop","maxSessionLimit":"5"}}`,
		`{"location":"centralus","systemData":{"createdAt":"yesterday"},"properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}`,
	} {
		if err := d.check(o, reply{status: 200, raw: []byte(broken)}); err == nil {
			t.Errorf("the description lets pass: %s", broken)
		}
	}
}
