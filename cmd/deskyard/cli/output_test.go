package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const twoPools = `[{"id":"/subscriptions/s/resourceGroups/RG1/providers/X/y/hp1","name":"hp1","location":"eastus","tags":{"a":"b"},
	"properties":{"friendlyName":"First\tpool\u001b[31m","limit":5,"on":true,"refs":["x","y"]}},
	{"id":"/subscriptions/s/resourceGroups/rg2/providers/X/y/hp2","name":"hp2","location":"local","properties":{"friendlyName":null,"limit":10,"on":false}}]`

func render(t *testing.T, format, query string, columns []column) string {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(twoPools))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := printer{out: &out, format: format, query: query}
	if err := p.print(flatten(v), columns); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAnswersAreRenderedAsAzDoes(t *testing.T) {
	for _, c := range []struct{ format, query, want string }{
		{"tsv", "[].[name,limit,on,resourceGroup]", "hp1\t5\tTrue\tRG1\nhp2\t10\tFalse\trg2\n"},
		{"tsv", "[].{z:name,a:limit}", "hp1\t5\nhp2\t10\n"}, // in the query's order, not the alphabet's
		{"tsv", "[0].friendlyName", "First pool [31m\n"},    // one line, and nothing that a terminal obeys
		{"tsv", "length(@)", "2\n"},
		{"tsv", "[?limit>`7`].name", "hp2\n"},
		{"tsv", "[0].nothing", ""},
		{"json", "[0].refs", "[\n  \"x\",\n  \"y\"\n]\n"},
		{"json", "[0].nothing", "null\n"},
		{"none", "", ""},
		{"table", "[].{Pool:name,Limit:limit}", "Pool  Limit\n----  -----\nhp1   5\nhp2   10\n"},
		{"jsonc", "[1].limit", "\x1b[36m10\x1b[0m\n"},
	} {
		if got := render(t, c.format, c.query, nil); got != c.want {
			t.Errorf("-o %s --query %s:\n%q\nwant\n%q", c.format, c.query, got, c.want)
		}
	}
}

func TestTablesShowACommandsColumns(t *testing.T) {
	got := render(t, "table", "", cols("Name", "ResourceGroup", "Refs=length(refs || `[]`)", "FriendlyName"))
	want := "Name  ResourceGroup  Refs  FriendlyName\n----  -------------  ----  ---------------\nhp1   RG1            2     First pool [31m\nhp2   rg2            0\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := render(t, "table", "[?name=='none']", cols("Name")); got != "" {
		t.Errorf("an empty list is shown as %q", got)
	}
}

func TestAWrongQueryIsAUsageError(t *testing.T) {
	p := printer{out: &bytes.Buffer{}, format: "json", query: "[?"}
	if err := p.print(map[string]any{}, nil); ExitCode(err) != exitUsage {
		t.Errorf("got %v", err)
	}
}
