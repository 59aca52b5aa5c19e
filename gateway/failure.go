package gateway

import (
	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/connect"
)

// kind is what protocols can say of a failure.
type kind int

const (
	noHost     kind = iota // there is none now
	badTicket              // the ticket is not valid
	notAllowed             // the user may not
	noWay                  // the host did not reach the gateway
)

func kindOf(f *deskyard.ConnectionFailure) kind {
	switch f.Symbol {
	case connect.TicketInvalid:
		return badTicket
	case connect.NotAuthorized, connect.NetworkAccess:
		return notAllowed
	case connect.ReverseConnect:
		return noWay
	}
	return noHost
}
