package armapi

import (
	"context"
	"net/http"

	"github.com/deskyard/deskyard/arm"
)

func (s *Server) subscriptionDoors() []Door {
	return []Door{
		{Method: http.MethodGet, Path: "/tenants", Handle: s.listTenants},
		{Method: http.MethodGet, Path: "/subscriptions", Handle: s.listSubscriptions},
		{Method: http.MethodGet, Path: "/subscriptions/{subscription}", Handle: s.getSubscription},
		{Method: http.MethodGet, Path: "/subscriptions/{subscription}/locations", Handle: s.listLocations},
	}
}

const subscriptionRead = "Microsoft.Resources/subscriptions/read"

func (s *Server) listTenants(_ context.Context, req *Request) (Response, error) {
	t := s.opt.Tenant
	return req.ListResponse([]any{map[string]any{
		"id": "/tenants/" + t.ID, "tenantId": t.ID, "displayName": t.Name, "defaultDomain": t.DefaultDomain,
		"domains": []string{t.DefaultDomain}, "country": nil, "countryCode": nil, "tenantType": "AAD", "tenantCategory": "Home",
	}}, ""), nil
}

// listSubscriptions lists those that the caller may enter.
func (s *Server) listSubscriptions(ctx context.Context, req *Request) (Response, error) {
	items := []any{}
	for _, sub := range s.opt.Subscriptions {
		ok, err := s.mayEnter(ctx, req.Principal, arm.ResourceID{Subscription: sub.ID}, subscriptionRead)
		if err != nil {
			return Response{}, err
		}
		if !ok {
			continue
		}
		b, err := s.renderSubscription(ctx, sub)
		if err != nil {
			return Response{}, err
		}
		items = append(items, b)
	}
	return Response{Body: map[string]any{
		"value": items, "count": map[string]any{"type": "Total", "value": len(items)}, "nextLink": nil,
	}}, nil
}

func (s *Server) getSubscription(ctx context.Context, req *Request) (Response, error) {
	sub, err := s.enter(ctx, req)
	if err != nil {
		return Response{}, err
	}
	body, err := s.renderSubscription(ctx, sub)
	return Response{Body: body}, err
}

// enter finds the request's subscription for a caller who has any role in it.
func (s *Server) enter(ctx context.Context, req *Request) (Subscription, error) {
	sub, _ := s.subscription(req.ID.Subscription) // that it exists was checked on the way in
	ok, err := s.mayEnter(ctx, req.Principal, req.ID, subscriptionRead)
	if err == nil && !ok {
		err = s.access.Allow(ctx, req.Principal, subscriptionRead, req.ID)
	}
	return sub, err
}

func (s *Server) renderSubscription(ctx context.Context, sub Subscription) (any, error) {
	tags, err := subscriptionTags(ctx, s.store, arm.ResourceID{Subscription: sub.ID})
	if err != nil {
		return nil, err
	}
	body := map[string]any{
		"id": "/subscriptions/" + sub.ID, "subscriptionId": sub.ID, "tenantId": s.opt.Tenant.ID, "displayName": sub.Name,
		"state": "Enabled", "authorizationSource": "RoleBased", "managedByTenants": []any{},
		"subscriptionPolicies": map[string]string{
			"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off",
		},
	}
	if len(tags) > 0 {
		body["tags"] = tags
	}
	return body, nil
}

func (s *Server) listLocations(ctx context.Context, req *Request) (Response, error) {
	sub, err := s.enter(ctx, req)
	if err != nil {
		return Response{}, err
	}
	items := make([]any, len(s.locations))
	for i, l := range s.locations {
		items[i] = map[string]any{
			"id": "/subscriptions/" + sub.ID + "/locations/" + l.Name, "name": l.Name, "type": "Region",
			"displayName": l.Display, "regionalDisplayName": l.Display,
			"metadata": map[string]any{
				"regionType": "Physical", "regionCategory": "Recommended", "geography": "", "geographyGroup": "",
				"longitude": "0", "latitude": "0", "physicalLocation": "", "pairedRegion": []any{},
			},
		}
	}
	return req.ListResponse(items, ""), nil
}
