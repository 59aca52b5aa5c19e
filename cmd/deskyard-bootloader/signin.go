package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/deskyard/deskyard/signon"
)

type signInCommand struct{}

// Run is the PAM hook. The socket's path is fixed: whoever could change it by a flag or
// the environment would decide who signs in. What is written here goes to the person.
func (signInCommand) Run() error {
	err := signon.Hook(context.Background(), signon.Socket, os.Getenv, os.Stdin, os.Stdout)
	if err == nil {
		return nil
	}
	if !errors.Is(err, signon.ErrRefused) {
		fmt.Println("Deskyard: the sign-in service of this machine does not answer")
	}
	os.Exit(1)
	return nil
}
