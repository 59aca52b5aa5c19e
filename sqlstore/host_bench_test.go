package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// benchHost is a host as a healthy one looks: ten checks, two sessions, four
// components.
func benchHost(i int) deskyard.SessionHost {
	at := time.Date(2026, 11, 22, 10, 11, 12, 345678900, time.UTC)
	h := deskyard.SessionHost{
		ID:       arm.MustParseID(fmt.Sprintf("/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/hp/sessionHosts/host%05d", i)),
		ObjectID: fmt.Sprintf("0000a000-0000-0000-0000-%012d", i), Pool: "11111111-0000-0000-0000-000000000000", AllowNewSession: true,
		Machine:   deskyard.Machine{Hostname: fmt.Sprintf("host%05d", i), MachineID: "0123456789abcdef0123456789abcdef", OS: "linux", Arch: "amd64", OSVersion: "Debian GNU/Linux 12"},
		PublicKey: make([]byte, 32), Epoch: "e1", NextEpoch: "e2", EnrolledBy: "k", RegisteredAt: at, LastSeen: at, EverOnline: true, StatusAt: at,
		Report: deskyard.HostReport{At: at, AgentVersion: "1.2.3", SxSVersion: "1.2.3", OSVersion: "12", SessionsKnown: true},
	}
	for _, name := range []string{deskyard.CheckDomainJoined, deskyard.CheckDomainTrust, deskyard.CheckDomainReach, deskyard.CheckSxSListener, deskyard.CheckURLs,
		deskyard.CheckMonitoring, deskyard.CheckMetadata, deskyard.CheckEncryption, deskyard.CheckFSLogix, deskyard.CheckAppAttach} {
		h.Report.Checks = append(h.Report.Checks, deskyard.HealthCheck{Name: name, Result: deskyard.CheckSucceeded, At: at})
	}
	for n := range 2 {
		h.Report.Sessions = append(h.Report.Sessions, deskyard.UserSession{ID: n, Native: "c1", ObjectID: "o", User: "someone@example.org", Account: "someone", State: "Active", ApplicationType: "Desktop", CreateTime: at})
	}
	for _, name := range []string{"agent", "bootloader", "sxs-stack", "monitoring-agent"} {
		h.Report.Components = append(h.Report.Components, deskyard.Component{Name: name, Version: "1.2.3", Kept: []string{"1.2.3", "1.2.2"}, State: "Running"})
	}
	return h
}

// BenchmarkHostList lists 10,000 session hosts, by the time to walk over the same
// rows alone, and by that to read them with encoding/json.
func BenchmarkHostList(b *testing.B) {
	db, _, _ := benchDB(b)
	pool := benchHost(0).ID.Parent()
	err := db.Write(b.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		for i := range benchRows {
			if _, err := tx.PutSessionHost(ctx, benchHost(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var list, scan, codec time.Duration
	for b.Loop() {
		begin := settled()
		page, err := db.SessionHosts(b.Context(), deskyard.HostQuery{Pool: pool})
		if err != nil || len(page.Items) != benchRows {
			b.Fatalf("%d hosts, %v", len(page.Items), err)
		}
		list += cpuTime() - begin
		begin = settled()
		docs, err := scanHosts(b.Context(), db, pool)
		if err != nil || len(docs) != benchRows {
			b.Fatalf("%d rows, %v", len(docs), err)
		}
		scan += cpuTime() - begin
		begin = settled()
		for _, doc := range docs {
			var h deskyard.SessionHost
			if err := json.Unmarshal(doc, &h); err != nil {
				b.Fatal(err)
			}
		}
		codec += cpuTime() - begin
	}
	b.ReportMetric(list.Seconds()*1000/float64(b.N), "list-ms")
	b.ReportMetric(scan.Seconds()*1000/float64(b.N), "scan-ms")
	b.ReportMetric(list.Seconds()/scan.Seconds(), "of-scan")
	b.ReportMetric(list.Seconds()/(scan+codec).Seconds(), "of-encoding-json")
}

// scanHosts walks over the rows of a list of hosts and keeps the documents.
func scanHosts(ctx context.Context, db *DB, pool arm.ResourceID) (docs [][]byte, err error) {
	rows, err := db.run.query(ctx, hostColumns+` where pool_key = $1 order by key`, pool.Key())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var doc sql.RawBytes
	var version int64
	for rows.Next() {
		if err := rows.Scan(&doc, &version); err != nil {
			return nil, err
		}
		docs = append(docs, append([]byte(nil), doc...))
	}
	return docs, rows.Err()
}
