package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/web"
)

// credentialsView is the view of the pages that a one-time link opens to set a name and a password: sign-in/setup,
// sign-in/invite and sign-in/recover.
type credentialsView struct {
	Action   string // where the form goes
	Note     *Note
	Email    Strong // of the new account, or ""
	Name     Field
	Password Field
	Button   Text
}

// SetupPath returns the path of the page that adds the first administrator, for the secret of a ticket.
func SetupPath(secret jeton.Secret) string { return "/setup/" + secret.Reveal() }

// setupPage answers GET /setup/{ticket}. It uses nothing up: programs that check links follow them.
func (p *Pages) setupPage(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	_, err := p.Tickets.Look(r.Context(), ticket.Setup, r.PathValue("ticket"))
	if err == nil {
		err = p.noUsers(r.Context())
	}
	if err != nil {
		return p.deadSetup(w, r, err)
	}

	return p.show(w, r, http.StatusOK, "sign-in/setup", p.newAccountForm(r.URL.Path, "admin"))
}

// errUsers means that there are users, so that none is the first.
var errUsers = jeton.WithDetail(jeton.ErrConflict, "there are users already")

// noUsers returns an error if there are users.
func (p *Pages) noUsers(ctx context.Context) error {
	n, err := p.Accounts.Count(ctx, "")
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	if n > 0 {
		return errUsers
	}

	return nil
}

// deadSetup answers a link that adds no administrator any more.
func (p *Pages) deadSetup(w *web.Reply, r *http.Request, err error) error {
	what := text("setup.dead.do")
	switch {
	case errors.Is(err, errUsers):
		what = text("setup.done.do")
	case !errors.Is(err, jeton.ErrBadCredential) && !errors.Is(err, jeton.ErrSpent):
		return err
	}

	return p.dead(w, r, what)
}

// linkFields returns the fields of a form that a one-time link has opened.
func linkFields(w *web.Reply, r *http.Request, what string, names ...string) (map[string]string, error) {
	hideAddress(w)

	if err := web.SameOrigin(w, r); err != nil {
		return nil, err
	}

	return web.LoginFields(w, r, what, names...)
}

// afterLink answers such a form once it was acted on: with the next page, that the link is dead, or the form again.
func afterLink(w *web.Reply, err error, next string, dead, again func(error) error) error {
	switch jeton.Outcome(err) {
	case nil:
		if err != nil {
			return err
		}
		return see(w, next)
	case jeton.ErrBadCredential, jeton.ErrSpent:
		return dead(err)
	}

	return again(err)
}

// dead answers a one-time link that was used or has expired: the status is that of a page that is gone.
func (p *Pages) dead(w *web.Reply, r *http.Request, what Text) error {
	return p.show(w, r, http.StatusGone, "sign-in/error", failure{
		Title:   text("link.dead"),
		Text:    what,
		Request: w.ID,
		Links:   []Link{{Text: text("error.sign-in"), URL: "/sign-in"}},
	})
}

// newAccountForm returns the form that makes an account, without a password.
func (p *Pages) newAccountForm(action, name string) credentialsView {
	return credentialsView{
		Action: action,
		Name: Field{
			Name:         "username",
			Label:        text("setup.name"),
			Hint:         text("setup.name.hint"),
			Value:        name,
			Autocomplete: "username",
			NoCapitals:   true,
			Required:     true,
		},
		Password: newPassword(text("setup.password"), text("setup.password.hint", p.MinPassword), p.MinPassword),
		Button:   text("setup.button"),
	}
}

// newPassword returns the field of a password that is set.
func newPassword(label, hint Text, minimum int) Field {
	return Field{
		Name:         "password",
		Label:        label,
		Hint:         hint,
		Type:         "password",
		Autocomplete: "new-password",
		Rules:        fmt.Sprintf("minlength: %d; allowed: unicode;", minimum),
		Required:     true,
		Focus:        true,
	}
}

// setup answers POST /setup/{ticket}: it adds the first administrator and signs it in.
func (p *Pages) setup(w *web.Reply, r *http.Request) error {
	fields, err := linkFields(w, r, "a setup", "username", "password")
	if err != nil {
		return err
	}

	// Taken first: of two users who have the link, one becomes the administrator.
	t, err := p.Tickets.Take(r.Context(), ticket.Setup, r.PathValue("ticket"))
	if err == nil {
		err = p.noUsers(r.Context())
	}
	if err != nil {
		return p.deadSetup(w, r, err)
	}

	pw := jeton.NewSecret(fields["password"])
	added, err := p.Accounts.Add(r.Context(), "setup", account.NewUser{
		Name:     fields["username"],
		Password: pw,
		Groups:   []string{AdminGroup},
	})
	if err != nil {
		return p.setupAgain(w, r, t, fields["username"], err)
	}

	started, _, err := p.Logins.Password(r.Context(), signin.PasswordRequest{
		Name:     added.Name,
		Password: pw,
		Service:  config.IssuerName,
		Terms:    p.Terms(),
		Source:   w.Source,
		Request:  w.ID,
		Device:   p.thisDevice(r),
	})
	if err != nil {
		return see(w, "/sign-in") // the account exists: signing in needs only another try
	}

	p.keep(w, started)

	return see(w, "/admin?done=setup")
}

// setupAgain shows the form again, with a link that is valid as long as the first one was.
func (p *Pages) setupAgain(w *web.Reply, r *http.Request, t ticket.Ticket, name string, err error) error {
	secret, issued := p.Tickets.Issue(r.Context(), t)
	if issued != nil {
		return p.deadSetup(w, r, jeton.ErrSpent)
	}

	v := p.newAccountForm(SetupPath(secret), name)
	v.Note = p.noteOf(w, err)
	if jeton.Outcome(err) == jeton.ErrInvalid {
		v.Note.Text, v.Note.More = text("setup.refused"), detailText(jeton.Detail(err))
	}
	v.Note.Focus = false
	v.Password.NoteBelongs = true

	// The address of the request leads nowhere any more; the links of the page are made from it.
	shown := r.Clone(r.Context())
	shown.URL.Path = v.Action

	return p.again(w, shown, "sign-in/setup", v, err)
}
