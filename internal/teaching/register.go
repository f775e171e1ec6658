package teaching

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/web"
)

// registration lets anyone become a user of a service. No other service accepts such a user.
type registration struct {
	accounts *account.Accounts
	service  string
}

// newUser is what a client registers with.
type newUser struct {
	Name     string `json:"username"`
	Password string `json:"password"`
}

// register answers POST on the path of teaching.register.
func (g registration) register(w *web.Reply, r *http.Request) error {
	// A page of another site could otherwise fill the store through the browsers of its visitors.
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	in, err := web.Read[newUser](r)
	if err != nil {
		return err
	}
	if in.Name == "" || in.Password == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "username and password are required")
	}

	user, err := g.accounts.Add(r.Context(), "anonymous", account.NewUser{
		Name:        in.Name,
		Password:    jeton.NewSecret(in.Password),
		Service:     g.service,
		AnyPassword: true,
	})
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, map[string]string{"username": user.Name})
}
