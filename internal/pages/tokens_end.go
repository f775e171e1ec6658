package pages

import (
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// revokeView is the view of account/token-revoke.
type revokeView struct {
	Token    tokenRow
	Children []tokenRow // those that derive from it directly
	More     int64      // derived tokens that are not listed
}

// maxNamed is how many derived tokens the page before a revocation names.
const maxNamed = 10

// revokeTokenPage answers GET /account/tokens/{accessor}/revoke: what would end with the token.
func (p *Pages) revokeTokenPage(w *web.Reply, r *http.Request) error {
	t, err := p.ownToken(w, r)
	if err != nil {
		return err
	}

	v := revokeView{Token: newTokenRow(t.Token, w.Start)}
	v.Token.Derived = t.Derived
	if t.Derived > 0 {
		list, err := p.ownTokens(w, r, url.Values{"parent": {t.Accessor}})
		if err != nil {
			return err
		}

		for _, child := range list[:min(len(list), maxNamed)] {
			v.Children = append(v.Children, newTokenRow(child, w.Start))
		}
		v.More = max(0, t.Derived-int64(len(v.Children)))
	}

	return p.show(w, r, http.StatusOK, "account/token-revoke", v)
}

// revokeToken answers POST /account/tokens/{accessor}/revoke.
func (p *Pages) revokeToken(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.API.Call(w, r, http.MethodDelete, tokenAPI(r, ""), nil, nil)
	// It has ended meanwhile, which is what was wanted.
	if err != nil && jeton.Outcome(err) != jeton.ErrNotFound {
		return err
	}

	return see(w, "/account/tokens?done=token-revoked")
}

// rotateView is the view of account/token-rotate.
type rotateView struct {
	Token tokenRow
}

// rotateTokenPage answers GET /account/tokens/{accessor}/rotate. It asks for the password before the change, not after.
func (p *Pages) rotateTokenPage(w *web.Reply, r *http.Request) error {
	if err := p.provedNow(w, r); err != nil {
		return err
	}

	t, err := p.ownToken(w, r)
	if err != nil {
		return err
	}

	v := rotateView{Token: newTokenRow(t.Token, w.Start)}
	v.Token.Derived = t.Derived

	return p.show(w, r, http.StatusOK, "account/token-rotate", v)
}

// rotateToken answers POST /account/tokens/{accessor}/rotate with the new secret.
func (p *Pages) rotateToken(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	var made madeToken
	err := p.API.Call(w, r, http.MethodPost, tokenAPI(r, "rotate"), nil, &made)
	if err != nil {
		return err // jeton.ErrProof leads to the password, and back to the page before
	}

	return p.showSecret(w, r, made, true)
}
