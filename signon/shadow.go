package signon

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Runner runs programs with the right to change the machine's accounts.
type Runner interface {
	// Run runs a program to its end, or ctx's, with stdin; err is nil however it ended.
	Run(ctx context.Context, stdin string, name string, args ...string) (output string, exit int, err error)
}

// Shadow changes accounts with the programs of Debian's passwd package.
type Shadow struct {
	Runner Runner // for what changes the system
	Look   Runner // for what looks only: at each sign-in
}

// accountTime bounds one program: useradd copies a home's first files.
const accountTime = 30 * time.Second

// absent is getent's exit code for a name that is not there.
const absent = 2

// Find implements System.
func (s Shadow) Find(ctx context.Context, name string) (Entry, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	out, exit, err := s.Look.Run(ctx, "", "getent", "passwd", "--", name)
	switch {
	case err != nil:
		return Entry{}, false, fmt.Errorf("look for the account %s: %w", name, err)
	case exit == absent:
		return Entry{}, false, nil
	case exit != 0:
		return Entry{}, false, fmt.Errorf("look for the account %s: getent: %s", name, strings.TrimSpace(out))
	}
	e, err := parseEntry(strings.TrimRight(out, "\n"))
	if err == nil && e.Name != name {
		err = errors.New("it answers with another name")
	}
	return e, err == nil, err
}

// parseEntry reads a line of passwd(5).
func parseEntry(line string) (Entry, error) {
	f := strings.Split(line, ":")
	if len(f) != 7 || strings.Contains(line, "\n") {
		return Entry{}, fmt.Errorf("read the account database: %.80q is not an entry", line)
	}
	uid, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return Entry{}, fmt.Errorf("read the account database: the user id of %s: %w", f[0], err)
	}
	return Entry{Name: f[0], UID: int(uid), Comment: f[4], Home: f[5]}, nil
}

// Make implements System. useradd without a password locks it. The home is for its
// owner's eyes alone: many people share the machine.
func (s Shadow) Make(ctx context.Context, name, comment string) error {
	return s.run(ctx, "useradd", "--create-home", "--key", "HOME_MODE=0700", "--user-group", "--shell", "/bin/bash", "--comment", comment, "--", name)
}

// Rename implements System. The group of the same name goes along.
func (s Shadow) Rename(ctx context.Context, from, to, comment string) error {
	if err := s.run(ctx, "usermod", "--login", to, "--comment", comment, "--", from); err != nil {
		return err
	}
	return s.run(ctx, "groupmod", "--new-name", to, "--", from)
}

// administrators is the group whose members Debian's sudo lets do everything.
const administrators = "sudo"

// Administer implements System.
func (s Shadow) Administer(ctx context.Context, name string, may bool) error {
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	out, exit, err := s.Look.Run(ctx, "", "getent", "group", "--", administrators)
	if err != nil || exit != 0 && exit != absent {
		return errors.Join(fmt.Errorf("look for the group %s: %s", administrators, strings.TrimSpace(out)), err)
	}
	_, members, found := cutLast(strings.TrimSpace(out), ":")
	is := false
	for _, m := range strings.Split(members, ",") {
		is = is || m == name
	}
	switch {
	case is == may:
		return nil
	case !found:
		return fmt.Errorf("this machine has no group %s; install sudo", administrators)
	case may:
		return s.run(ctx, "gpasswd", "--add", name, administrators)
	}
	return s.run(ctx, "gpasswd", "--delete", name, administrators)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (s Shadow) run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	out, exit, err := s.Runner.Run(ctx, "", name, args...)
	if err != nil {
		return err
	}
	if exit != 0 {
		return fmt.Errorf("%s (exit code %d): %s", name, exit, strings.TrimSpace(out))
	}
	return nil
}
