package cli

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestCountsAreALineEach(t *testing.T) {
	var counts map[string]any
	if err := json.Unmarshal([]byte(`{"hostPools":2,"sessionHosts":{"total":3,"byStatus":{"Available":1,"Shutdown":2}},"registrationKeys":null,"userSessions":{}}`), &counts); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, l := range countLines("", counts) {
		row := l.(map[string]any)
		got += fmt.Sprintln(row["what"], row["count"])
	}
	want := "hostPools 2\nregistrationKeys not readable\nsessionHosts.byStatus.Available 1\nsessionHosts.byStatus.Shutdown 2\nsessionHosts.total 3\n"
	if got != want {
		t.Errorf("the lines are\n%s\nnot\n%s", got, want)
	}
}
