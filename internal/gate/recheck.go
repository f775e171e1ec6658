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

	c, err := g.again(ctx, &req, From(w).credential)
	if err != nil {
		return err
	}

	err = c.Check(req.Now)
	if err != nil {
		return err
	}

	if err := permits(&req, c); err != nil {
		return err
	}

	// How long ago the user was proved is judged as a request begins. It may last longer.
	req.Access.Require.MaxAge = 0

	return g.proves(ctx, &req, &Decision{credential: c})
}

// again returns the credential of a request in progress as it is now.
func (g *Gate) again(ctx context.Context, req *Request, c Credential) (Credential, error) {
	password, ok := c.(passwordCredential)
	switch {
	case ok:
		return password.again(ctx, req.Service.Name)
	// A body has been read: the credential in it is known, and only the end of its time is seen.
	case req.Service.ReadBody && c != nil:
		return c, nil
	}

	return findCredential(ctx, req)
}
