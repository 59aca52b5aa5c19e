package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// metadataURL is the instance metadata service of Azure and Azure Local.
const metadataURL = "http://169.254.169.254/metadata/instance?api-version=2021-02-01"

// checkURLs asks every address of the service, and every gateway elsewhere, for its
// health, with the pin.
func checkURLs(ctx context.Context, s Surroundings) Finding {
	if len(s.BrokerURIs) == 0 {
		return Finding{Failed: true, Message: "The addresses of the service are not known: the machine is not registered."}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: reverse.Pinned(s.CAPin), DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
	for _, base := range s.BrokerURIs {
		url := strings.TrimSuffix(base, "/") + "/healthz"
		if err := get(ctx, client, url, nil, nil); err != nil {
			return Finding{Failed: true, Message: fmt.Sprintf("%s is not reachable: %v. Open the way to it in firewalls and proxies.", url, err)}
		}
	}
	return checkGateways(ctx, s)
}

// checkGateways asks the gateways that users' clients are sent to: a host that does not
// reach them is linked, and nobody gets a desktop of it.
func checkGateways(ctx context.Context, s Surroundings) Finding {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: reverse.PinnedGateway(s.CAPin), DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
	for _, base := range s.Gateways {
		url := strings.TrimSuffix(base, "/") + "/healthz"
		err := get(ctx, client, url, nil, nil)
		switch {
		case errors.Is(err, reverse.ErrWrongCA):
			return Finding{Failed: true, Code: codeGateway, Message: fmt.Sprintf("RD Gateway Url: %s is not accessible: %v. Let nothing between this host and the gateway end TLS, and enrol the gateway with this service (deskyard gateway enroll).", url, err)}
		case err != nil:
			return Finding{Failed: true, Code: codeGateway, Message: fmt.Sprintf("RD Gateway Url: %s is not accessible: %v. Open the way from this host to the gateway in firewalls and proxies, and look whether the gateway runs.", url, err)}
		}
	}
	return Finding{Message: "Reachable: " + strings.Join(slices.Concat(s.BrokerURIs, s.Gateways), ", ")}
}

// codeGateway is the number of the event in which AVD's agent says that a gateway's
// address is not accessible.
const codeGateway = 3703

// checkMetadata asks the instance metadata service where there should be one.
func checkMetadata(url string) func(context.Context, Surroundings) Finding {
	return func(ctx context.Context, s Surroundings) Finding {
		if !s.Metadata {
			return Finding{Message: "No instance metadata service is expected here."}
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var doc struct {
			Compute *struct {
				VMID string `json:"vmId"`
			} `json:"compute"`
		}
		err := get(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url, http.Header{"Metadata": {"true"}}, &doc)
		if err == nil && doc.Compute == nil {
			err = errors.New("its answer has no compute properties")
		}
		if err != nil {
			return Finding{Failed: true, Message: fmt.Sprintf("The instance metadata service does not answer: %v. Let the machine reach 169.254.169.254 on port 80 without a proxy.", err)}
		}
		return Finding{Message: "The instance metadata service answers for VM " + orUnknown(doc.Compute.VMID) + "."}
	}
}

func get(ctx context.Context, c *http.Client, url string, header http.Header, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxLocal))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers HTTP %d", resp.StatusCode)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// checkStack asks the sxs-stack component for its listener or its encryption.
func checkStack(stack Stack, of func(StackStatus) Finding) func(context.Context, Surroundings) Finding {
	return func(ctx context.Context, _ Surroundings) Finding {
		s, err := stack.Status(ctx)
		if err != nil {
			return Finding{Failed: true, Code: 2, Message: fmt.Sprintf("The sxs-stack component does not answer: %v. Look at the boot loader's log.", err)}
		}
		return of(s)
	}
}

// checkMonitor asks the monitoring agent for a sample.
func checkMonitor(monitor Monitor) func(context.Context, Surroundings) Finding {
	return func(ctx context.Context, _ Surroundings) Finding {
		s, err := monitor.Sample(ctx)
		if err != nil {
			return Finding{Failed: true, Message: fmt.Sprintf("The monitoring agent does not answer: %v. Look at the boot loader's log.", err)}
		}
		return Finding{Message: "The monitoring agent " + s.Version + " answers."}
	}
}

// commonChecks are the checks that are the same on every system.
func commonChecks(stack Stack, monitor Monitor) []Check {
	return []Check{
		{deskyard.CheckSxSListener, checkStack(stack, func(s StackStatus) Finding { return Finding{Failed: !s.Listening, Message: s.Listener} })},
		{deskyard.CheckURLs, checkURLs},
		{deskyard.CheckMonitoring, checkMonitor(monitor)},
		{deskyard.CheckMetadata, checkMetadata(metadataURL)},
		{deskyard.CheckEncryption, checkStack(stack, func(s StackStatus) Finding { return Finding{Failed: !s.Encrypted, Message: s.Encryption} })},
	}
}
