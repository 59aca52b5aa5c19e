package armapi

import (
	"net/http"
	"testing"
)

func TestAnUpdateIsStartedWhenItIsAskedFor(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.host("hp1", "sh-0", true)
	d.host("hp1", "sh-1", false)
	at := func(host string) string { return dv("hostPools/hp1/sessionHosts/" + host + "/update") }
	if b := d.must(http.StatusOK, "POST", at("sh-0"), ""); b["updateState"] != "Started" || b["target"] != "2.0.0" {
		t.Errorf("answered %v", b)
	}
	if r := d.send("owner", "POST", at("sh-1"), ""); r.status != http.StatusConflict {
		t.Errorf("of a host without a link: %d %s", r.status, r.raw)
	}
	if r := d.send("owner", "POST", at("sh-2"), ""); r.status != http.StatusNotFound {
		t.Errorf("of no host: %d %s", r.status, r.raw)
	}
	if r := d.send("reader", "POST", at("sh-0"), ""); r.status != http.StatusForbidden {
		t.Errorf("by a Reader: %d %s", r.status, r.raw)
	}
}
