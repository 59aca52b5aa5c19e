package signon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/socket"
)

// hookTime bounds what a person waits for an answer; programs that ask have bounds of
// their own, sshd's of two minutes being the usual one.
const hookTime = 20 * time.Second

// ErrRefused says that the person is not let in by the directory or a grant. PAM goes
// on to the next module.
var ErrRefused = errors.New("sign-in refused")

// Hook is what pam_exec starts: it reads the password from in, and who signs in from
// the environment, and asks the boot loader. What it writes to out is shown to the
// person by programs that show such messages. nil lets the person in.
func Hook(ctx context.Context, socketPath string, getenv func(string) string, in io.Reader, out io.Writer) error {
	user := getenv("PAM_USER")
	if getenv("PAM_TYPE") != "auth" || !mayBeOurs(user) {
		return ErrRefused
	}
	password, err := readPassword(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	var v verdict
	err = socket.NewClient(socketPath).Call(ctx, "POST", signInPath, attempt{
		User: user, Password: password, Service: getenv("PAM_SERVICE"), From: getenv("PAM_RHOST"),
	}, &v)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused // no boot loader runs, or the program that asks is not root's: nothing to say
	case err != nil:
		return fmt.Errorf("ask the boot loader: %w", err)
	case v.OK:
		return nil
	}
	if v.Reason != "" {
		fmt.Fprintln(out, "Deskyard: "+v.Reason)
	}
	return ErrRefused
}

// readPassword reads what pam_exec writes: the password, with or without a NUL.
func readPassword(in io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxPassword+2))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) > maxPassword || bytes.IndexByte(b, 0) >= 0 {
		return "", ErrRefused
	}
	return string(b), nil
}
