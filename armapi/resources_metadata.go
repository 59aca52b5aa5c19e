package armapi

import (
	"context"
	"net/http"
	"strings"
)

// metadataDoors serve what clients read before they can sign in.
func (s *Server) metadataDoors() []Door {
	return []Door{
		{Method: http.MethodGet, Path: "/metadata/endpoints", Public: true, Handle: s.cloudMetadata},
	}
}

// cloudMetadata answers three sorts of readers by api-version: az cloud register
// (2015-01-01, a flat object), az by ARM_CLOUD_METADATA_URL (2018 to 2020, a list)
// and HashiCorp's SDK (2022-09-01 and later, one object).
func (s *Server) cloudMetadata(_ context.Context, req *Request) (Response, error) {
	c := s.cloud(req.BaseURL)
	switch {
	case req.Version < "2018":
		return Response{Body: map[string]any{
			"galleryEndpoint": c.base + "/", "graphEndpoint": c.graph, "portalEndpoint": c.portal,
			"authentication": map[string]any{"loginEndpoint": c.adfs, "audiences": []string{c.audience}},
		}}, nil
	case req.Version < "2021":
		return Response{Body: []any{c.document()}}, nil
	}
	return Response{Body: c.document()}, nil
}

// cloud is the endpoints as a client should use them.
type cloud struct {
	name, base, login, adfs, graph, portal, audience string
}

// cloud fills in what is not configured from the address that the client used.
func (s *Server) cloud(base string) cloud {
	e := s.opt.Endpoints
	or := func(configured, derived string) string {
		if configured != "" {
			return configured
		}
		return derived
	}
	c := cloud{
		name: or(e.CloudName, "Deskyard"), base: base,
		login: or(e.Login, base+"/"), graph: or(e.Graph, base+"/graph"),
		portal: or(e.Portal, base+"/"), audience: or(e.Audience, base+"/"),
	}
	// Clients that know nothing but the 2015 document are az: its MSAL looks up an
	// authority on the internet unless the authority is an ADFS one.
	c.adfs = strings.TrimRight(c.login, "/") + "/adfs"
	return c
}

// document is the cloud as versions since 2018 have it. The services that Deskyard
// is not are empty, which clients take for "not in this cloud".
func (c cloud) document() map[string]any {
	host := strings.TrimPrefix(strings.TrimPrefix(c.base, "https://"), "http://")
	return map[string]any{
		"name": c.name, "portal": c.portal, "resourceManager": c.base + "/",
		"authentication": map[string]any{
			"loginEndpoint": c.login, "audiences": []string{c.audience},
			// azurerm refuses a cloud that says anything else.
			"tenant": "common", "identityProvider": "AAD",
		},
		"graph": c.graph, "graphAudience": c.graph, "microsoftGraphResourceId": c.graph,
		"gallery": c.base + "/", "media": "", "batch": "", "sqlManagement": "", "vmImageAliasDoc": "", "activeDirectoryDataLake": "",
		"appInsightsResourceId": "", "appInsightsTelemetryChannelResourceId": "", "attestationResourceId": "",
		"synapseAnalyticsResourceId": "", "logAnalyticsResourceId": "", "ossrDbmsResourceId": "",
		"suffixes": map[string]string{
			"storage": host, "keyVaultDns": host, "storageSyncEndpointSuffix": "", "mhsmDns": "", "sqlServerHostname": "",
			"mysqlServerEndpoint": "", "postgresqlServerEndpoint": "", "mariadbServerEndpoint": "", "acrLoginServer": "",
			"azureDataLakeStoreFileSystem": "", "azureDataLakeAnalyticsCatalogAndJob": "", "azureFrontDoorEndpointSuffix": "",
			"synapseAnalytics": "", "attestationEndpoint": "",
		},
	}
}
