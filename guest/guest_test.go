package guest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/bootloader"
)

func TestAFullJournalOfTheWorstOutputIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steps.json")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &Guest{now: time.Now}
	bad := strings.Repeat("\x01", 1<<20)
	for n := range maxJournal + 5 {
		r := g.finish(deskyard.StepResult{ID: strings.Repeat("i", 100) + string(rune('A'+n))}, Outcome{Output: bad, Message: bad, Code: bad})
		if b, err := json.Marshal(r); err != nil || len(b) > 60<<10 {
			t.Fatalf("a result of %d bytes, %v", len(b), err)
		}
		j.results = append(j.results, r) // the disk is written once, below
	}
	last := g.finish(deskyard.StepResult{ID: "last"}, Outcome{Output: "x"})
	if err := j.record(last); err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(path)
	if err != nil {
		t.Fatalf("a full journal cannot be read: %v", err)
	}
	if r, ok := again.find("last"); !ok || r.Output != "x" || len(again.results) != maxJournal {
		t.Errorf("last: %+v, %v; %d results", r, ok, len(again.results))
	}
}

// recording is a Runner that keeps what it was asked.
type recording struct {
	stdin, line []string
	out         string
	exit        int
}

func (r *recording) Run(_ context.Context, stdin, name string, args ...string) (string, int, error) {
	r.stdin, r.line = append(r.stdin, stdin), append(r.line, strings.Join(append([]string{name}, args...), " "))
	return r.out, r.exit, nil
}

func step(kind, settings, secrets string) deskyard.Step {
	s := deskyard.Step{ID: "s", Kind: kind, Settings: json.RawMessage(settings)}
	if secrets != "" {
		s.Secrets = json.RawMessage(secrets)
	}
	return s
}

func TestTheAdministratorsPasswordGoesOverTheInputAlone(t *testing.T) {
	r := &recording{out: "chpasswd: Pass-Word-1 is weak", exit: 1}
	o := AdminStep{r}.Run(t.Context(), step("admin", `{"adminUsername":"keeper"}`, `{"adminPassword":"Pass-Word-1"}`))
	if o.Code != "StepFailed" || strings.Contains(o.Output+o.Message, "Pass-Word-1") {
		t.Errorf("told %+v", o)
	}
	if len(r.line) != 1 || strings.Contains(r.line[0], "Pass-Word-1") || r.stdin[0] != "Pass-Word-1\n" {
		t.Errorf("ran %q with %q", r.line, r.stdin)
	}
}

func TestAnAdministratorsNameIsNeverAProgramsArgument(t *testing.T) {
	for _, settings := range []string{`{"adminUsername":"-o root"}`, `{"adminUsername":"a:b"}`, `{"adminUsername":"a\nb"}`, `{"computerName":"a b"}`, `{"computerName":"-x"}`} {
		r := &recording{}
		if o := (AdminStep{r}).Run(t.Context(), step("admin", settings, `{"adminPassword":"Pass-Word-1"}`)); o.Code != "InvalidParameter" || len(r.line) != 0 {
			t.Errorf("%s: %+v, ran %q", settings, o, r.line)
		}
	}
}

// script is a ScriptStep that runs in a folder of the test's, and its server.
func script(t *testing.T, h http.HandlerFunc) (ScriptStep, string) {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return ScriptStep{Folder: t.TempDir(), Runner: programs{}, Client: srv.Client(), Shell: []string{"/bin/sh"}, Suffix: ".sh"}, srv.URL
}

func TestAScriptFindsItsFilesAndLeavesNothing(t *testing.T) {
	s, at := script(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("echo from the file\n")) })
	o := s.Run(t.Context(), step("script", `{"fileUris":["`+at+`/a/command.sh?sig=x"]}`, `{"commandToExecute":"sh command.sh && echo hush-hush"}`))
	if o.Code != "" || o.Output != "from the file\nhush-hush\n" {
		t.Errorf("told %+v", o)
	}
	if left, err := os.ReadDir(s.Folder); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestAScriptsExitCodeIsToldAndItsCommandIsNot(t *testing.T) {
	s, _ := script(t, http.NotFound)
	o := s.Run(t.Context(), step("script", `{}`, `{"commandToExecute":"cat .deskyard-command.sh; exit 7"}`))
	if o.Code != "CommandFailed" || o.ExitCode != 7 || strings.Contains(o.Output, "exit 7") {
		t.Errorf("told %+v", o)
	}
}

func TestASignatureInAnAddressIsNotTold(t *testing.T) {
	s, at := script(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://127.0.0.1:1/plain?sig=SECRETSIG", http.StatusFound)
			return
		}
		http.NotFound(w, r)
	})
	for _, uri := range []string{at + "/gone?sig=SECRETSIG", at + "/away?sig=SECRETSIG", "https://127.0.0.1:1/x?sig=SECRETSIG", "http://127.0.0.1/x?sig=SECRETSIG", "https://%zz?sig=SECRETSIG"} {
		o := s.Run(t.Context(), step("script", `{"fileUris":["`+uri+`"],"commandToExecute":"true"}`, ""))
		if o.Code != "DownloadFailed" || strings.Contains(o.Message+o.Output, "SECRETSIG") {
			t.Errorf("%s: %+v", uri, o)
		}
	}
}

func TestAFilesAddressCannotLeadOutOfTheFolder(t *testing.T) {
	asked := false
	s, at := script(t, func(http.ResponseWriter, *http.Request) { asked = true })
	for _, tail := range []string{"/..", "/%2e%2e", "/", "", `/..%5Cevil`, "/c:x", "/.deskyard-command.sh", "/a%00b"} {
		o := s.Run(t.Context(), step("script", `{"fileUris":["`+at+tail+`"],"commandToExecute":"true"}`, ""))
		if o.Code != "DownloadFailed" || asked {
			t.Errorf("%s: %+v, asked %v", tail, o, asked)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(`"`+at+`/x",`, maxFiles+1), ",")
	if o := s.Run(t.Context(), step("script", `{"fileUris":[`+many+`],"commandToExecute":"true"}`, "")); o.Code != "InvalidSettings" || asked {
		t.Errorf("too many files: %+v", o)
	}
}

func TestParametersAreVariablesAndNothingElse(t *testing.T) {
	s, _ := script(t, http.NotFound)
	o := s.Run(t.Context(), step("command", ``, `{"script":["echo \"$who\" \"$_1\""],"parameters":[{"name":"who","value":"it's $(id)"},{"name":"1","value":"one"}]}`))
	if o.Code != "" || o.Output != "it's $(id) one\n" {
		t.Errorf("told %+v", o)
	}
}

// loader is a boot loader that does as it is told.
type loader struct {
	desired []bootloader.Desired
	done    func()
}

func (l *loader) SetDesired(_ context.Context, d []bootloader.Desired) error {
	l.desired = d
	l.done()
	return nil
}

func (l *loader) Status(context.Context) (bootloader.Status, error) {
	return bootloader.Status{}, errors.New("down")
}

func agentIn(t *testing.T) (AgentStep, *loader) {
	dir := t.TempDir()
	l := &loader{done: func() {}}
	return AgentStep{KeyFile: filepath.Join(dir, "key"), StatusFile: filepath.Join(dir, "status"), Loader: l, Now: time.Now}, l
}

func say(t *testing.T, a AgentStep, s agentStatus) {
	t.Helper()
	if err := writeJSON(a.StatusFile, s); err != nil {
		t.Error(err)
	}
}

const oneComponent = `{"components":[{}]}`

func TestTheAgentStepEndsWithTheLink(t *testing.T) {
	a, l := agentIn(t)
	l.done = func() {
		if key, err := os.ReadFile(a.KeyFile); err != nil || string(key) != "the-token" {
			t.Errorf("key %q, %v", key, err)
		}
		say(t, a, agentStatus{State: "Linked", Host: "hp/sh-1", Since: time.Now()})
		if err := os.Remove(a.KeyFile); err != nil {
			t.Error(err)
		}
	}
	if o := a.Run(t.Context(), step("agent", oneComponent, `{"registrationInfoToken":"the-token"}`)); o.Code != "" || !strings.Contains(o.Output, "hp/sh-1") {
		t.Errorf("told %+v", o)
	}
}

// TestAKeyIsHandedOverOnceThoughTheBootLoaderStartsAnew runs the agent's step a second
// time, as after a restart of the boot loader behind the registration.
func TestAKeyIsHandedOverOnceThoughTheBootLoaderStartsAnew(t *testing.T) {
	a, l := agentIn(t)
	keys := 0
	l.done = func() {
		if os.Remove(a.KeyFile) == nil { // the agent registers and erases the key
			keys++
		}
		say(t, a, agentStatus{State: "Linked", Host: "hp/sh-1", Since: time.Now()})
	}
	asked := step("agent", oneComponent, `{"registrationInfoToken":"the-token"}`)
	other := asked
	other.ID = "another step"
	for _, c := range []struct {
		what  string
		step  deskyard.Step
		token string
		keys  int
	}{{"at first", asked, "the-token", 1}, {"the same step again", asked, "the-token", 1}, {"another step", other, "the-token", 2}, {"another key", other, "new-token", 3}} {
		c.step.Secrets = json.RawMessage(`{"registrationInfoToken":"` + c.token + `"}`)
		say(t, a, agentStatus{State: "Stopped"})
		if o := a.Run(t.Context(), c.step); o.Code != "" || keys != c.keys {
			t.Errorf("%s: %d keys handed over, not %d; told %+v", c.what, keys, c.keys, o)
		}
	}
}

func TestAKeyThatTheAgentHasYetToUseIsHandedOverAgain(t *testing.T) {
	a, l := agentIn(t)
	asked := step("agent", oneComponent, `{"registrationInfoToken":"the-token"}`)
	ctx, cancel := context.WithCancel(t.Context())
	l.done = cancel // the boot loader ends before the agent came
	if o := a.Run(ctx, asked); o.Code == "" {
		t.Fatalf("told %+v", o)
	}
	l.done = func() {
		if key, err := os.ReadFile(a.KeyFile); err != nil || string(key) != "the-token" {
			t.Errorf("key %q, %v", key, err)
		}
		if err := os.Remove(a.KeyFile); err != nil {
			t.Error(err)
		}
		say(t, a, agentStatus{State: "Linked", Host: "hp/sh-1", Since: time.Now()})
	}
	if o := a.Run(t.Context(), asked); o.Code != "" {
		t.Errorf("told %+v", o)
	}
}

func TestARefusalCountsOnlyForTheKeyThatWasHandedOver(t *testing.T) {
	a, l := agentIn(t)
	say(t, a, agentStatus{State: "Refused", Refused: true, Why: "the old key", Since: time.Now().Add(-time.Hour)})
	l.done = func() {
		time.AfterFunc(2*agentLook, func() {
			say(t, a, agentStatus{Refused: true, Why: "the-token has expired", Since: time.Now()})
		})
	}
	o := a.Run(t.Context(), step("agent", oneComponent, `{"registrationInfoToken":"the-token"}`))
	if o.Code != "RegistrationRefused" || !strings.Contains(o.Message, "has expired") || strings.Contains(o.Message, "the-token") {
		t.Errorf("told %+v", o)
	}
}

func TestAnAgentThatDoesNotComeIsExplained(t *testing.T) {
	a, _ := agentIn(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if o := a.Run(ctx, step("agent", oneComponent, `{"registrationInfoToken":"k"}`)); o.Code != "AgentNotRegistered" || !strings.Contains(o.Message, "down") {
		t.Errorf("told %+v", o)
	}
	if o := a.Run(ctx, step("agent", `{}`, `{"registrationInfoToken":"k"}`)); o.Code != "AgentNotInstalled" {
		t.Errorf("without packages: %+v", o)
	}
	if o := a.Run(ctx, step("agent", oneComponent, `{}`)); o.Code != "InvalidSettings" {
		t.Errorf("without a key: %+v", o)
	}
}

func TestMetadataIsAnsweredAsAzureDoes(t *testing.T) {
	m := &Metadata{}
	ask := func(path, header, forwarded string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Metadata", header)
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	const v = "?api-version=2021-02-01"
	if code, _ := ask("/metadata/instance"+v, "true", ""); code != 503 {
		t.Errorf("before the service spoke: %d", code)
	}
	m.Set(json.RawMessage(`{"compute":{"name":"sh-1","tagsList":[{"name":"a"}]}}`))
	for _, c := range []struct {
		path, header, forwarded string
		code                    int
		body                    string
	}{
		{"/metadata/instance/compute/name" + v, "true", "", 200, `"sh-1"`},
		{"/metadata/instance/compute/name" + v + "&format=text", "True", "", 200, `sh-1`},
		{"/metadata/instance/compute/tagsList/0/name" + v + "&format=text", "true", "", 200, `a`},
		{"/metadata/instance/compute/tagsList/1" + v, "true", "", 404, ""},
		{"/metadata/instance/compute/none" + v, "true", "", 404, ""},
		{"/metadata/instance/compute/../compute/name" + v, "true", "", 404, ""},
		{"/metadata/instance", "true", "", 400, ""},
		{"/metadata/instance" + v, "", "", 400, ""},
		{"/metadata/instance" + v, "true", "10.0.0.1", 400, ""},
		{"/metadata/versions", "true", "", 200, ""},
		{"/latest" + v, "true", "", 404, ""},
	} {
		if code, body := ask(c.path, c.header, c.forwarded); code != c.code || c.body != "" && body != c.body {
			t.Errorf("%s: %d %s", c.path, code, body)
		}
	}
}

func FuzzMetadataPath(f *testing.F) {
	f.Add("/compute/name", "text")
	f.Add("//0/..", "json")
	m := &Metadata{}
	m.Set(json.RawMessage(`{"compute":{"name":"sh-1","list":[1,{"a":null}]}}`))
	f.Fuzz(func(t *testing.T, path, format string) {
		w := httptest.NewRecorder()
		m.instance(w, path, format, func(code int, _ string) { w.WriteHeader(code) })
		if w.Code != 200 && w.Code != 404 {
			t.Errorf("%q: %d", path, w.Code)
		}
	})
}

func FuzzStepSettings(f *testing.F) {
	f.Add([]byte(`{"fileUris":["https://h/x"],"commandToExecute":"x"}`), []byte(`{"script":["a",1]}`))
	f.Fuzz(func(_ *testing.T, settings, secrets []byte) {
		var open, hidden scriptSettings
		if decodeStep(deskyard.Step{Settings: settings, Secrets: secrets}, &open, &hidden) == nil {
			_, _ = commandOf(open, hidden)
			_ = ScriptStep{Suffix: ".sh"}.prologue("/x", open.Params)
		}
	})
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`[{"id":"a","state":"Running"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if j, err := openJournal(path); err == nil {
			if err := j.record(deskyard.StepResult{ID: "x"}); err != nil || len(j.results) > maxJournal {
				t.Errorf("%d results, %v", len(j.results), err)
			}
		}
	})
}

// TestAStepEndsWithItsTimeAndTheNextOneRuns has a step that heeds its time, and looks
// what the service would be told.
func TestAStepEndsWithItsTimeAndTheNextOneRuns(t *testing.T) {
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[string]Handler{
		"waits": {Run: func(ctx context.Context, _ deskyard.Step) Outcome {
			<-ctx.Done()
			return Outcome{ExitCode: -1, Output: "so far", Code: "ScriptNotRun", Message: "cut off"}
		}},
		"late": {Run: func(ctx context.Context, _ deskyard.Step) Outcome {
			<-ctx.Done()
			return Outcome{Output: "done after all"}
		}},
		"quick": {Run: func(context.Context, deskyard.Step) Outcome { return Outcome{} }},
	}
	g := &Guest{o: Options{Steps: handlers}, now: time.Now, log: slog.New(slog.DiscardHandler), journal: j, running: map[string]bool{},
		queue: make(chan deskyard.Step, 8), results: make(chan deskyard.StepResult, 8)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.work(ctx) }()
	defer func() { cancel(); <-done }()
	for _, c := range []struct{ kind, state, code string }{
		{"waits", deskyard.StepFailed, "StepTimedOut"}, {"late", deskyard.StepSucceeded, ""}, {"quick", deskyard.StepSucceeded, ""},
	} {
		g.queue <- deskyard.Step{ID: c.kind, Kind: c.kind, Timeout: 30 * time.Millisecond}
		r := <-g.results
		if r.ID != c.kind || r.State != c.state || r.Code != c.code {
			t.Errorf("%s: told %+v", c.kind, r)
		}
		if c.kind == "waits" && (r.Output != "so far" || !strings.Contains(r.Message, "longer than 30ms")) {
			t.Errorf("told %q, %q", r.Output, r.Message)
		}
		if kept, ok := j.find(c.kind); !ok || kept.State != c.state {
			t.Errorf("%s: the journal has %+v", c.kind, kept)
		}
	}
}
