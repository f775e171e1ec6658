package pages

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/web"
)

// InvitePath returns the path of the page of an invitation, for its secret.
func InvitePath(secret jeton.Secret) string { return "/invite/" + secret.Reveal() }

// invitePage answers GET /invite/{ticket}. It takes no use: programs that check mail follow links.
func (p *Pages) invitePage(w *web.Reply, r *http.Request) error {
	hideAddress(w)

	inv, err := p.Invites.Look(r.Context(), r.PathValue("ticket"))
	if err != nil {
		return p.deadInvite(w, r, err)
	}

	return p.show(w, r, http.StatusOK, "sign-in/invite", p.inviteForm(r.URL.Path, inv.Email, ""))
}

// inviteForm returns the form that makes an account.
func (p *Pages) inviteForm(action, email, name string) credentialsView {
	v := p.newAccountForm(action, name)
	v.Email = Strong(email)
	v.Name.Focus = true
	v.Password.Focus = false

	return v
}

// deadInvite answers a link that makes no account any more.
func (p *Pages) deadInvite(w *web.Reply, r *http.Request, err error) error {
	switch {
	case errors.Is(err, jeton.ErrSpent):
		return p.dead(w, r, text("invite.spent.do"))
	case errors.Is(err, jeton.ErrBadCredential):
		return p.dead(w, r, text("invite.dead.do"))
	}

	return err
}

// invite answers POST /invite/{ticket}: it makes the account. The user then signs in, so that what every sign-in asks
// for is asked for at the first one, too.
func (p *Pages) invite(w *web.Reply, r *http.Request) error {
	fields, err := linkFields(w, r, "a new account", "username", "password")
	if err != nil {
		return err
	}

	_, err = p.Invites.Accept(r.Context(), invite.Acceptance{
		Secret:   r.PathValue("ticket"),
		Name:     fields["username"],
		Password: jeton.NewSecret(fields["password"]),
		Source:   w.Source,
		Request:  w.ID,
	})

	return afterLink(
		w, err, "/sign-in?done=invited",
		func(err error) error { return p.deadInvite(w, r, err) },
		func(err error) error { return p.inviteAgain(w, r, fields["username"], err) },
	)
}

// inviteAgain shows the form again with why it was refused.
func (p *Pages) inviteAgain(w *web.Reply, r *http.Request, name string, refused error) error {
	inv, err := p.Invites.Look(r.Context(), r.PathValue("ticket"))
	if err != nil {
		return p.deadInvite(w, r, err)
	}

	v := p.inviteForm(r.URL.Path, inv.Email, name)
	v.Note = p.noteOf(w, refused)
	v.Note.Focus = false

	switch jeton.Outcome(refused) {
	case jeton.ErrInvalid:
		v.Note.Text, v.Note.More = text("setup.refused"), detailText(jeton.Detail(refused))
		v.Password.NoteBelongs = true
	case jeton.ErrConflict:
		v.Note.Text, v.Note.Detail = text("setup.refused"), ""
		v.Note.More = text("invite.taken")
		v.Name.NoteBelongs = true
		if errors.Is(refused, invite.ErrEmailTaken) {
			v.Note.More = text("invite.email-taken")
			v.Name.NoteBelongs = false
		}
	}

	return p.again(w, r, "sign-in/invite", v, refused)
}
