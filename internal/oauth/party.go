package oauth

import (
	"context"
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// party is who sends a browser here to sign in: one of our services, or a client.
type party struct {
	Name   string
	Allow  *policy.Allow  // users who may sign in there; nil: all
	client *client.Client // nil: a service

	redirects func(uri string) bool
}

// introduce reads the document that describes a client, if that is necessary.
func (s *Server) introduce(w *web.Reply, r *http.Request, clientID string) error {
	return s.logins.ReadDocument(r.Context(), signin.DocumentRequest{
		ClientID: clientID,
		Source:   w.Source,
		Request:  w.ID,
	})
}

// party returns the service or the client of a client_id, or false if there is none that signs users in.
func (s *Server) party(ctx context.Context, id string) (party, bool, error) {
	i := slices.IndexFunc(s.relying, func(one RelyingService) bool { return one.Name == id })
	if i >= 0 {
		service := s.relying[i]

		return party{
			Name:  service.Name,
			Allow: service.Allow,
			// Exactly, and not by its begin: RFC 9700, section 4.1.3.
			redirects: func(uri string) bool {
				return slices.ContainsFunc(service.Origins(), func(origin string) bool {
					return uri == origin+config.FinishPath
				})
			},
		}, true, nil
	}

	c, err := s.clients.FindForLogin(ctx, id)
	if err != nil || c.ID == 0 || c.Disabled || c.OpenID == nil {
		return party{}, false, err
	}

	return party{
		Name:      c.Name,
		Allow:     client.Allowed(c.OpenID),
		client:    &c,
		redirects: func(uri string) bool { return client.Redirects(c.OpenID.RedirectURIs, uri) },
	}, true, nil
}
