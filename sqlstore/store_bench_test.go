package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// The benchmarks compare within one run, in turns, because disks and neighbours
// change by the minute: what counts is the ratio, not the figure.

const benchRows = 10_000

// benchResource is a resource of the size that the design measured: 1,590 bytes
// of properties.
func benchResource(i int) deskyard.Resource {
	doc := fmt.Sprintf(`{"friendlyName":"pool %05d","hostPoolType":"Pooled","maxSessionLimit":16,"objectId":"0000a000-0000-0000-0000-%012d","description":"`, i, i)
	doc += strings.Repeat("x", 1590-len(doc)-2) + `"}`
	at := time.Date(2026, 11, 22, 0, 0, i, 0, time.UTC)
	return deskyard.Resource{
		ID: arm.MustParseID(fmt.Sprintf("/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/hp%05d", i)),
		Envelope: arm.Envelope{Location: "westeurope", SystemData: arm.SystemData{CreatedBy: "a@b", CreatedByType: "User", CreatedAt: at,
			LastModifiedBy: "a@b", LastModifiedByType: "User", LastModifiedAt: at}},
		Properties: json.RawMessage(doc),
	}
}

// benchDB is a store with benchRows resources, and them.
func benchDB(b *testing.B) (*DB, string, []deskyard.Resource) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "deskyard.db")
	db, err := Open(b.Context(), Options{DSN: "sqlite:" + path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	rows := make([]deskyard.Resource, benchRows)
	err = db.Write(b.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		for i := range rows {
			var err error
			if rows[i], err = tx.PutResource(ctx, benchResource(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return db, path, rows
}

// BenchmarkDurableWrite is target S1: one caller's durable writes a second, by the
// disk's own flushes a second (4 KB appended and fsynced) beside it.
func BenchmarkDurableWrite(b *testing.B) {
	db, path, rows := benchDB(b)
	f, err := os.Create(path + ".fsync")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var writes, flushes time.Duration
	block := make([]byte, 4096)
	n := 0
	for b.Loop() {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		flushed := time.Now()
		r := &rows[n*7919%benchRows]
		err := db.Write(b.Context(), func(ctx context.Context, tx deskyard.Tx) error {
			stored, err := tx.PutResource(ctx, *r)
			*r = stored
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		flushes += flushed.Sub(begin)
		writes += time.Since(flushed)
		n++
	}
	b.ReportMetric(float64(n)/writes.Seconds(), "writes/s")
	b.ReportMetric(float64(n)/flushes.Seconds(), "fsyncs/s")
	b.ReportMetric(flushes.Seconds()/writes.Seconds(), "of-fsync-rate")
}

// BenchmarkGroupCommit is target S2: 256 callers with synchronous=FULL, by the same
// with synchronous=NORMAL, which does not wait for the disk.
func BenchmarkGroupCommit(b *testing.B) {
	const callers, each = 256, 20
	round := func(w *writer, rows []deskyard.Resource) time.Duration {
		begin := time.Now()
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				for i := range each {
					r := &rows[(c*each+i)*7919%benchRows] // 7919 is prime to it: no two share a row
					err := w.write(b.Context(), func(ctx context.Context, tx *transaction) error {
						stored, err := tx.PutResource(ctx, *r)
						*r = stored
						return err
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(begin)
	}
	var full, normal time.Duration
	modes := []struct {
		synchronous string
		took        *time.Duration
		w           *writer
		rows        []deskyard.Resource
	}{{synchronous: "synchronous(FULL)", took: &full}, {synchronous: "synchronous(NORMAL)", took: &normal}}
	for i := range modes { // a database each, so that neither empties the other's cache
		m := &modes[i]
		_, path, rows := benchDB(b)
		counts, err := newMeter(Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		w, err := startWriter(b.Context(), path, m.synchronous, counts)
		if err != nil {
			b.Fatal(err)
		}
		defer w.close()
		m.w, m.rows = w, rows
	}
	n := 0
	for b.Loop() {
		for _, m := range modes {
			*m.took += round(m.w, m.rows)
		}
		n += callers * each
	}
	b.ReportMetric(float64(n)/full.Seconds(), "writes/s")
	b.ReportMetric(float64(n)/normal.Seconds(), "normal-writes/s")
	b.ReportMetric(normal.Seconds()/full.Seconds(), "of-normal-rate")
}

// BenchmarkList is target S3: a list of 10,000 resources, by the time to walk over
// the same rows alone, and by that to decode and encode the documents.
func BenchmarkList(b *testing.B) {
	db, _, _ := benchDB(b)
	q := deskyard.ResourceQuery{Type: "Microsoft.DesktopVirtualization/hostPools"}
	var list, scan, codec time.Duration
	for b.Loop() {
		begin := settled()
		page, err := db.Resources(b.Context(), q)
		if err != nil || len(page.Items) != benchRows {
			b.Fatalf("%d resources, %v", len(page.Items), err)
		}
		list += cpuTime() - begin
		begin = settled()
		if n, err := bareScan(b.Context(), db); err != nil || n != benchRows {
			b.Fatalf("%d rows, %v", n, err)
		}
		scan += cpuTime() - begin
		begin = settled()
		for _, r := range page.Items {
			var v map[string]any
			if err := json.Unmarshal(r.Properties, &v); err != nil {
				b.Fatal(err)
			}
			if _, err := json.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
		codec += cpuTime() - begin
	}
	b.ReportMetric(list.Seconds()*1000/float64(b.N), "list-ms")
	b.ReportMetric(scan.Seconds()*1000/float64(b.N), "scan-ms")
	b.ReportMetric(list.Seconds()/scan.Seconds(), "of-scan")
	b.ReportMetric(list.Seconds()/(scan+codec).Seconds(), "of-decode-encode")
}

// settled is cpuTime once the garbage of what was measured before is gone.
func settled() time.Duration {
	runtime.GC()
	return cpuTime()
}

// cpuTime is the processor time of this process so far, which neighbours on the
// machine do not change as they do the clock's.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bareScan walks over the rows of a list and keeps nothing.
func bareScan(ctx context.Context, db *DB) (n int, err error) {
	rows, err := db.run.query(ctx, resourceColumns+` where type = $1 order by key`, "microsoft.desktopvirtualization/hostpools")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var id, envelope, properties, refs sql.RawBytes
	var version int64
	for rows.Next() {
		if err := rows.Scan(&id, &envelope, &properties, &refs, &version); err != nil {
			return 0, err
		}
		n++
	}
	return n, rows.Err()
}
