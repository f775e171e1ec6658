package pages

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// askRecoveryView is the view of sign-in/recover-ask.
type askRecoveryView struct {
	Note *Note
	Name Field
	Done bool // a link was asked for
	Mail bool // users get mail
}

// RecoverPath returns the path of the page that sets a password, for the secret of a ticket.
func RecoverPath(secret jeton.Secret) string { return "/recover/" + secret.Reveal() }

// askRecoveryPage answers GET /recover.
func (p *Pages) askRecoveryPage(w *web.Reply, r *http.Request) error {
	v := p.askRecoveryForm("")
	v.Done = r.URL.Query().Get("done") == "sent"

	return p.show(w, r, http.StatusOK, "sign-in/recover-ask", v)
}

// askRecoveryForm returns the form that asks for a link.
func (p *Pages) askRecoveryForm(name string) askRecoveryView {
	return askRecoveryView{
		Mail: p.Mail,
		Name: Field{
			Name:         "username",
			Label:        text("recover.ask.name"),
			Value:        name,
			Autocomplete: "username",
			NoCapitals:   true,
			Required:     true,
			Focus:        true,
		},
	}
}

// askRecovery answers POST /recover. The answer to a name is the same whether or not there is such a user.
func (p *Pages) askRecovery(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}
	if !p.Mail {
		return jeton.WithDetail(jeton.ErrNotFound, "no mail is sent")
	}

	fields, err := web.LoginFields(w, r, "a request for a link", "username")
	if err != nil {
		return err
	}

	err = p.Logins.AskRecovery(r.Context(), signin.RecoveryRequest{
		Name:     fields["username"],
		Language: p.language(r).code,
		Source:   w.Source,
		Request:  w.ID,
	})
	if err != nil {
		v := p.askRecoveryForm(fields["username"])
		v.Note = p.noteOf(w, err)

		return p.again(w, r, "sign-in/recover-ask", v, err)
	}

	return see(w, "/recover?done=sent")
}

// recoverPage answers GET /recover/{ticket}. It uses nothing up: programs that check mail follow links.
func (p *Pages) recoverPage(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	name, err := p.Logins.Recoverable(r.Context(), r.PathValue("ticket"))
	if err != nil {
		return p.deadLink(w, r, err, text("recover.dead.do"))
	}

	return p.show(w, r, http.StatusOK, "sign-in/recover", p.recoverForm(r.URL.Path, name))
}

// recoverForm returns the form that sets a password.
func (p *Pages) recoverForm(action, name string) credentialsView {
	return credentialsView{
		Action: action,
		Name: Field{
			Name:         "username",
			Label:        text("sign-in.name"),
			Value:        name,
			Autocomplete: "username",
			ReadOnly:     true,
		},
		Password: newPassword(text("recover.password"), text("setup.password.hint", p.MinPassword), p.MinPassword),
		Button:   text("recover.button"),
	}
}

// recover answers POST /recover/{ticket}: it sets the password. The user then signs in with it, so that a second factor
// is asked for as at every sign-in.
func (p *Pages) recover(w *web.Reply, r *http.Request) error {
	fields, err := linkFields(w, r, "a new password", "password")
	if err != nil {
		return err
	}

	name, err := p.Logins.ResetPassword(r.Context(), signin.ResetRequest{
		Secret:   r.PathValue("ticket"),
		Password: jeton.NewSecret(fields["password"]),
		Source:   w.Source,
		Request:  w.ID,
	})

	return afterLink(
		w, err, "/sign-in?done=recovered",
		func(err error) error { return p.deadLink(w, r, err, text("recover.dead.do")) },
		func(err error) error { return p.recoverAgain(w, r, name, err) },
	)
}

// recoverAgain shows the form again with why it was refused.
func (p *Pages) recoverAgain(w *web.Reply, r *http.Request, name string, refused error) error {
	v := p.recoverForm(r.URL.Path, name)
	v.Note = p.noteOf(w, refused)
	if jeton.Outcome(refused) == jeton.ErrInvalid {
		v.Note.Text, v.Note.More = text("recover.refused"), detailText(jeton.Detail(refused))
	}
	v.Note.Focus = false
	v.Password.NoteBelongs = true

	return p.again(w, r, "sign-in/recover", v, refused)
}
