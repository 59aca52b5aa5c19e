package feed

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
)

type state string

func (s state) Error() string    { return string(s) }
func (s state) SQLState() string { return string(s) }

type result int

func (r result) Error() string { return "result" }
func (r result) Code() int     { return int(r) }

func TestADatabaseThatIsAwayIsSaidToBeWithATimeToTryAgain(t *testing.T) {
	for _, err := range []error{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, driver.ErrBadConn, context.DeadlineExceeded, state("57P01"), state("53300"), result(13), result(10 | 3<<8)} {
		status, r := statusOf(fmt.Errorf("list application groups: %w", err))
		if status != http.StatusServiceUnavailable || r.Symbol != "ServiceUnavailable" || r.Retry <= 0 {
			t.Errorf("%v: %d %+v", err, status, r)
		}
	}
	for _, err := range []error{errors.New("read stored properties"), state("23505"), state(""), result(19)} {
		if status, r := statusOf(err); status != http.StatusInternalServerError || r.Symbol != "InternalError" {
			t.Errorf("%v: %d %+v", err, status, r)
		}
	}
}
