package connect

import (
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/broker"
)

// Symbols of failures beside the broker's: AVD's own where it has one (WVDErrors,
// CodeSymbolic; troubleshoot articles).
const (
	NotAuthorized     = "ConnectionFailedUserNotAuthorized"
	ReverseConnect    = "ReverseConnectFailed"
	ClientDisconnect  = "ConnectionFailedClientDisconnect"
	Broken            = "ConnectionBroken"
	NetworkDisconnect = "UnexpectedNetworkDisconnect"
	NetworkAccess     = "ConnectionFailedPublicNetworkAccessDisabled" // ours
	TicketInvalid     = "ConnectionFailedTicketInvalid"               // ours
)

// codeOf is AVD's number for a symbol; those that have none of their own are shown with
// .NET's general code, as its diagnostics do.
func codeOf(symbol string) int {
	switch symbol {
	case ReverseConnect:
		return 24
	case Broken:
		return 8
	case NetworkDisconnect:
		return 14
	case InvalidCredentials:
		return 3
	case FileNotFound:
		return 2
	}
	return -2146233088
}

func failure(symbol string, retry time.Duration, format string, args ...any) *deskyard.ConnectionFailure {
	return &deskyard.ConnectionFailure{Symbol: symbol, Code: codeOf(symbol), Retry: retry, Message: fmt.Sprintf(format, args...)}
}

// notAuthorized does not tell a resource that is not assigned from one that is not there.
func notAuthorized() *deskyard.ConnectionFailure {
	return failure(NotAuthorized, 0, "This desktop or application is not assigned to you, or is there no more. Refresh the list; if it should be there, ask your administrator to assign you to its application group.")
}

func ticketInvalid() *deskyard.ConnectionFailure {
	return failure(TicketInvalid, 0, "The connection's ticket is not valid, has expired or was used. Connect again from the list, or download the connection file again.")
}

func startFailed(host string) deskyard.ConnectionFailure {
	return *failure(broker.PersonalUnavailable, 30*time.Second, "The machine %s is powered off and could not be started. Try again in a while, or ask your administrator to start it.", host)
}

func noAnswer(host, why string) *deskyard.ConnectionFailure {
	return failure(ReverseConnect, 10*time.Second, "The session host %s did not reach the gateway: %s. Try again; if it stays so, ask your administrator.", host, strings.TrimSuffix(why, "."))
}

// closed is why clients may not connect to a pool at all.
func closed(p *deskyard.HostPool) *deskyard.ConnectionFailure {
	if a := p.PublicNetworkAccess; a != nil && (*a == "Disabled" || *a == "EnabledForSessionHostsOnly") {
		return failure(NetworkAccess, 0, "The host pool takes no connections from clients on this network (publicNetworkAccess is %s). Ask your administrator.", *a)
	}
	return nil
}
