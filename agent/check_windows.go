package agent

import (
	"context"

	"golang.org/x/sys/windows"

	"github.com/deskyard/deskyard"
)

// StandardChecks are the health checks of a Windows session host. They have been
// compiled, and not been run on Windows.
func StandardChecks(stack Stack, monitor Monitor) []Check {
	return append([]Check{{deskyard.CheckDomainJoined, checkJoined}}, commonChecks(stack, monitor)...)
}

func checkJoined(_ context.Context, s Surroundings) Finding {
	realm, err := joinedDomain()
	switch {
	case err != nil:
		return Finding{Failed: true, Code: 2, Message: "Windows does not say whether the machine is joined: " + err.Error()}
	case realm != "":
		return Finding{Message: "Joined to " + realm + "."}
	case s.Directory:
		return Finding{Failed: true, Message: "The machine is not joined to a domain, and the service wants it to be. Join it and restart."}
	}
	return Finding{Message: "Not joined: the pool uses the service's own directory."}
}

// joinedDomain is the domain that the machine is joined to, "" for a workgroup.
func joinedDomain() (string, error) {
	var name *uint16
	var status uint32
	if err := windows.NetGetJoinInformation(nil, &name, &status); err != nil {
		return "", err
	}
	defer windows.NetApiBufferFree(ptr(name))
	if status != windows.NetSetupDomainName {
		return "", nil
	}
	return windows.UTF16PtrToString(name), nil
}
