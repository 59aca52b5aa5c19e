package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestARecordIsToldAsAStory(t *testing.T) {
	const body = `{"name":"0192","userPrincipalName":"ann@example.org","resourceId":"/r","sessionHostName":"sh-1","door":"web","gateway":"gw",
		"client":{"os":"linux","address":"192.0.2.1"},"state":"Failed","startTime":"2026-11-23T08:00:00Z","endTime":null,
		"failure":{"code":24,"symbol":"ReverseConnectFailed","message":"No route.","retryAfterSeconds":10},
		"stages":[{"name":"decide","milliseconds":1.5},{"name":"reverse-connect","milliseconds":20}],
		"decision":{"rule":"BreadthFirst","reason":"Fewest.","considered":300,"candidates":[{"host":"sh-1","sessions":0},{"host":"sh-2","sessions":3,"passed":"has more sessions"}]},
		"traffic":{"fromClientBytes":5,"fromHostBytes":7}}`
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	var record map[string]any
	if err := dec.Decode(&record); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&printer{out: &out, format: "table"}).explain(record); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Connection  0192\n", "Host        sh-1\n", "Door        web gw\n", "Client      linux 192.0.2.1\n",
		"Failure     ReverseConnectFailed (24): No route.\n", "Try again   after 10 s\n",
		"Stages      decide 1.5ms\n            reverse-connect 20ms\n", "Traffic     5 bytes from the client, 7 from the host\n",
		"Rule        BreadthFirst\n", "sh-2", "has more sessions", "chosen", "300 hosts were considered; the nearest are shown.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "Ended") {
		t.Errorf("a connection that goes on has ended:\n%s", out.String())
	}
}
