package guest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
)

// ScriptStep runs a script of the administrator's: the custom script extension, and
// runCommand.
type ScriptStep struct {
	Folder string // for downloads and scripts; each step gets one of its own in it, removed afterwards
	Runner Runner
	Client *http.Client
	Shell  []string // runs a script file: its name is appended
	Suffix string   // of script files: ".sh", ".ps1"
}

// scriptSettings are those of Azure's custom script extensions and of runCommand.
type scriptSettings struct {
	FileURIs []string          `json:"fileUris"`
	Command  string            `json:"commandToExecute"`
	Script   any               `json:"script"` // base64 text (extension) or lines (runCommand)
	Params   []scriptParameter `json:"parameters"`
}

type scriptParameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	maxDownload  = 256 << 20
	downloadTime = 10 * time.Minute
	maxFiles     = 32
	commandFile  = ".deskyard-command" // beside the downloads, which may be called command.sh
)

// Run fetches the files and runs the command.
func (s ScriptStep) Run(ctx context.Context, step deskyard.Step) Outcome {
	var open, hidden scriptSettings
	if err := decodeStep(step, &open, &hidden); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	folder, err := os.MkdirTemp(s.Folder, "step-")
	if err != nil {
		return Failed("ScriptNotRun", "make a folder for the script: %v", err)
	}
	defer os.RemoveAll(folder)
	files := slices.Concat(open.FileURIs, hidden.FileURIs)
	if len(files) > maxFiles {
		return Failed("InvalidSettings", "The extension names %d files; at most %d are fetched.", len(files), maxFiles)
	}
	for _, uri := range files {
		if err := s.fetch(ctx, folder, uri); err != nil {
			return Failed("DownloadFailed", "%v", err)
		}
	}
	text, err := commandOf(open, hidden)
	if err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	return s.execute(ctx, folder, text, slices.Concat(open.Params, hidden.Params), hidden)
}

// commandOf is the text of the script: what is hidden counts before what is open.
func commandOf(open, hidden scriptSettings) (string, error) {
	for _, s := range []scriptSettings{hidden, open} {
		if s.Command != "" {
			return s.Command, nil
		}
		switch script := s.Script.(type) {
		case string:
			return decodeScript(script)
		case []any:
			lines := make([]string, len(script))
			for i, l := range script {
				lines[i] = fmt.Sprint(l)
			}
			return strings.Join(lines, "\n"), nil
		}
	}
	return "", fmt.Errorf("the extension has neither commandToExecute nor script")
}

// execute writes the command into a file, so that nothing of it stands in the process
// list, and runs it in the folder with its files.
func (s ScriptStep) execute(ctx context.Context, folder, text string, params []scriptParameter, hidden scriptSettings) Outcome {
	file := filepath.Join(folder, commandFile+s.Suffix)
	if err := os.WriteFile(file, []byte(s.prologue(folder, params)+text+"\n"), 0o700); err != nil {
		return Failed("ScriptNotRun", "write the script: %v", err)
	}
	line := append(append([]string{}, s.Shell...), file)
	out, exit, err := s.Runner.Run(ctx, "", line[0], line[1:]...)
	out = strike(out, hidden.Command)
	switch {
	case err != nil:
		return Outcome{ExitCode: exit, Output: out, Code: "ScriptNotRun", Message: strike(err.Error(), hidden.Command)}
	case exit != 0:
		return Outcome{ExitCode: exit, Output: out, Code: "CommandFailed", Message: fmt.Sprintf("The command ended with exit code %d. Its output's end is shown.", exit)}
	}
	return Outcome{Output: out}
}

// prologue goes to the folder and sets the parameters as variables.
func (s ScriptStep) prologue(folder string, params []scriptParameter) string {
	if s.Suffix == ".ps1" {
		text := "Set-Location -LiteralPath '" + strings.ReplaceAll(folder, "'", "''") + "'\n"
		for _, p := range params {
			text += "$" + plainName(p.Name) + " = '" + strings.ReplaceAll(p.Value, "'", "''") + "'\n"
		}
		return text
	}
	text := "cd '" + folder + "' || exit 126\n"
	for _, p := range params {
		text += "export " + plainName(p.Name) + "='" + strings.ReplaceAll(p.Value, "'", `'\''`) + "'\n"
	}
	return text
}

// plainName makes a variable's name of a parameter's.
func plainName(s string) string {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "_" + s
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}

// secure is the client, held to https on its way through redirections too.
func (s ScriptStep) secure() *http.Client {
	c := *s.Client
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" || len(via) >= 10 {
			return errors.New("it redirects to an address that is not https, or on and on")
		}
		return nil
	}
	return &c
}

// fetch downloads one file under the last part of its path.
func (s ScriptStep) fetch(ctx context.Context, folder, uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("fetch a file: its address is not of the form https://HOST/PATH")
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || name == ".." || strings.ContainsAny(name, "\\:\x00") || strings.HasPrefix(name, commandFile) {
		return fmt.Errorf("fetch a file from %s: the address names none that can be kept", u.Host)
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return fmt.Errorf("fetch %s from %s: %w", name, u.Host, err)
	}
	resp, err := s.secure().Do(req)
	if err != nil {
		if e := new(url.Error); errors.As(err, &e) {
			err = e.Err // e itself repeats the address, whose query may be a signature
		}
		return fmt.Errorf("fetch %s from %s: %w", name, u.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch %s from %s: it answers HTTP %d; check that the address is right and may be read by the machine", name, u.Host, resp.StatusCode)
	}
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	n, err := io.Copy(f, io.LimitReader(resp.Body, maxDownload+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && n > maxDownload {
		err = fmt.Errorf("it is larger than %d bytes", maxDownload)
	}
	if err != nil {
		return fmt.Errorf("fetch %s from %s: %w", name, u.Host, err)
	}
	return nil
}

// decodeScript reads the script of Azure's Linux extension: base64 of a text.
func decodeScript(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("the extension's script is not base64")
	}
	return string(b), nil
}
