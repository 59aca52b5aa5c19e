package sqlstore_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/sqlstore"
)

// crashEnv turns the test program into the one that is killed.
const crashEnv = "SQLSTORE_TEST_CRASH_DATABASE"

// writeUntilKilled writes without end from many goroutines and prints the name of
// each write once it is acknowledged.
func writeUntilKilled(path string) {
	ctx := context.Background()
	db, err := sqlstore.Open(ctx, sqlstore.Options{DSN: "sqlite:" + path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for w := range 32 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				err := db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
					if _, err := tx.PutResource(ctx, located(pool(name), map[string]string{"writer": fmt.Sprint(w)})); err != nil {
						return err
					}
					return tx.PutSetting(ctx, name, json.RawMessage(`true`))
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				os.Stdout.WriteString(name + "\n") // one write(2), whole lines
			}
		}()
	}
	select {}
}

func TestNoAcknowledgedWriteIsLostWhenTheProcessIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deskyard.db")
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	lines := bufio.NewScanner(out)
	for lines.Scan() { // on to the end of the pipe: what was printed before the kill counts
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == 1000 {
			if err := child.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = child.Wait()
	if len(acknowledged) < 1000 {
		t.Fatalf("%d writes, then: %v", len(acknowledged), err)
	}
	db := open(t, "sqlite:"+path)
	for _, name := range acknowledged {
		if _, err := db.Resource(t.Context(), pool(name)); err != nil {
			t.Fatalf("acknowledged write %s: %v", name, err)
		}
	}
	all, err := db.Resources(t.Context(), deskyard.ResourceQuery{Type: poolType})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all.Items {
		if _, err := db.Setting(t.Context(), r.ID.Name()); err != nil {
			t.Fatalf("half of the write %s is there: %v", r.ID.Name(), err)
		}
	}
	tagged, err := db.Resources(t.Context(), deskyard.ResourceQuery{TagName: "writer"})
	if err != nil || len(tagged.Items) != len(all.Items) {
		t.Fatalf("%d resources, %d with their tag, %v", len(all.Items), len(tagged.Items), err)
	}
	t.Logf("%d writes acknowledged, %d found", len(acknowledged), len(all.Items))
}
