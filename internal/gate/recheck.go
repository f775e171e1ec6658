package gate

import (
	"context"
	"net/http"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// Recheck judges a request in progress again: whether its credential still opens the route. It takes no use and records
// nothing, and the request does not count as a new one of its session. Where the store cannot be asked, it returns
// jeton.ErrUnavailable, as for a new request: the end of a session must not wait for a node that has lost its database.
func (g *Gate) Recheck(
	ctx context.Context,
	w *web.Reply,
	r *http.Request,
	service *Service,
	access policy.Access,
) error {
	req := NewRequest(w, r, service, access)
	req.Now = g.now()

	c := From(w).credential
	// A body has been read: the credential in it is known, and only the end of its time is seen.
	if !service.ReadBody || c == nil {
		found, err := findCredential(ctx, &req)
		if err != nil {
			return err
		}
		c = found
	}

	err := c.Check(req.Now)
	if err != nil {
		return err
	}

	return permits(&req, c)
}
