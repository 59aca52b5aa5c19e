package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// options are the arguments that every command has.
type options struct {
	Output       choice `short:"o" choices:"json,jsonc,table,tsv,none" env:"DESKYARD_OUTPUT" placeholder:"FORMAT" help:"json, jsonc (coloured), table, tsv or none. Default: table on a terminal, else json." group:"Global"`
	Query        string `placeholder:"JMESPATH" help:"JMESPath query applied to the answer. See https://jmespath.org." group:"Global"`
	Subscription string `placeholder:"ID" help:"Subscription's name or id. Default: the one logged in to." group:"Global"`
	Bootstrap    string `env:"DESKYARD_BOOTSTRAP" placeholder:"FILE" help:"Act as the service principal in the file that deskyard serve --bootstrap wrote." group:"Global"`
	Verbose      bool   `help:"Tell of every request on stderr." group:"Global"`
	Debug        bool   `help:"Show requests and answers on stderr, without secrets." group:"Global"`
}

// session is a command under way: who talks to which service, and where answers go.
type session struct {
	*client
	out     printer
	stderr  io.Writer
	options *options
}

// run connects and carries out a command.
func (o *options) run(k *kong.Context, f func(s *session) error) error {
	p, err := findProfile(o.Bootstrap)
	if err != nil {
		return err
	}
	s, err := o.connect(k, p)
	if err != nil {
		return err
	}
	err = f(s)
	if p.changed {
		err = errors.Join(err, p.save())
	}
	return err
}

func (o *options) connect(k *kong.Context, p *profile) (*session, error) {
	p.Endpoint = strings.TrimRight(p.Endpoint, "/")
	if !strings.HasPrefix(p.Endpoint, "https://") && !strings.HasPrefix(p.Endpoint, "http://127.0.0.1:") {
		return nil, usagef("the endpoint %q is not of the form https://HOST[:PORT]", p.Endpoint)
	}
	web, err := newHTTP(p)
	if err != nil {
		return nil, err
	}
	trace := &tracer{out: k.Stderr, verbose: o.Verbose, debug: o.Debug}
	c := &client{http: web, profile: p, issuer: &issuer{web, p}, subscription: p.SubscriptionID, trace: trace}
	return &session{client: c, out: o.printer(k.Stdout), stderr: k.Stderr, options: o}, nil
}

// printer writes to out in the format asked for, or the one that suits out.
func (o *options) printer(out io.Writer) printer {
	format := string(o.Output)
	if format == "" {
		format = "json"
		if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "table"
		}
	}
	return printer{out: out, format: format, query: o.Query}
}

// subscriptionID is the subscription to work in; a name given with --subscription
// is looked up.
func (s *session) subscriptionID(ctx context.Context) (string, error) {
	wanted := s.options.Subscription
	if wanted == "" {
		if s.subscription == "" {
			return "", usagef("no subscription is known; give --subscription")
		}
		return s.subscription, nil
	}
	if isGUID(wanted) {
		return wanted, nil
	}
	found, err := s.list(ctx, request{method: "GET", path: "/subscriptions", version: subscriptionsVersion}, 0)
	if err != nil {
		return "", err
	}
	for _, sub := range found {
		if name, _ := getPath(sub, []string{"displayName"}); strings.EqualFold(fmt.Sprint(name), wanted) {
			id, _ := getPath(sub, []string{"subscriptionId"})
			return fmt.Sprint(id), nil
		}
	}
	return "", advise(usagef("there is no subscription %q", wanted), "deskyard account list shows those there are.")
}

// show prints an answer that is a resource.
func (s *session) show(v any, columns []column) error { return s.out.print(flatten(v), columns) }

// confirm asks before something is removed, as az does: --yes answers beforehand,
// and without a terminal nobody can.
func (s *session) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usagef("%s Without a terminal to ask at, --yes is needed", question)
	}
	fmt.Fprintf(s.stderr, "%s (y/n): ", question)
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1024)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return errors.New("not confirmed: nothing was changed")
	}
	return nil
}

// secret reads a secret from a file, from stdin ("-"), or from a person at the
// terminal. Secrets are never arguments: a process list would show them.
func (s *session) secret(file, prompt string) (string, error) {
	return readSecret(s.stderr, file, prompt)
}

func readSecret(stderr io.Writer, file, prompt string) (string, error) {
	var text []byte
	var err error
	switch {
	case file == "-":
		text, err = io.ReadAll(io.LimitReader(os.Stdin, 64<<10))
	case file != "":
		text, err = readSmall(file)
	case term.IsTerminal(int(os.Stdin.Fd())):
		fmt.Fprint(stderr, prompt+": ")
		text, err = term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(stderr)
	default:
		return "", usagef("a secret is needed: give --password-file FILE, or - for stdin")
	}
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", usagef("the secret is empty")
	}
	return secret, nil
}
