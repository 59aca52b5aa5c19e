package identity

import (
	"context"
	"net/http"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// wireFactor is a factor as Graph writes an authentication method.
func wireFactor(f directory.Factor) map[string]any {
	kind := map[string]string{
		directory.FactorTOTP:     "#microsoft.graph.softwareOathAuthenticationMethod",
		directory.FactorWebAuthn: "#microsoft.graph.fido2AuthenticationMethod",
	}[f.Kind]
	return map[string]any{"@odata.type": kind, "id": f.ID, "displayName": f.Name, "createdDateTime": wireTime(f.CreatedAt), "lastUsedDateTime": wireTime(f.UsedAt)}
}

// listMethods lists what a user is asked for beside the password.
func (c *graphCall) listMethods(ctx context.Context) (int, any, error) {
	u, err := c.userNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	methods := make([]any, len(u.Factors))
	for i, f := range u.Factors {
		methods[i] = wireFactor(f)
	}
	return http.StatusOK, map[string]any{"@odata.context": c.context("users('" + u.ObjectID + "')/authentication/methods"), "value": methods}, nil
}

// deleteMethod takes a factor from a user who has lost it.
func (c *graphCall) deleteMethod(ctx context.Context) (int, any, error) {
	u, err := c.userNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	c.object = u.ObjectID
	err = c.s.RemoveFactor(ctx, u.ObjectID, c.ids[1])
	if arm.IsMissing(err) {
		return 0, nil, notFound(c.ids[1])
	}
	return http.StatusNoContent, nil, err
}
