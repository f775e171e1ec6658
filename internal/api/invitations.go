package api

import (
	"cmp"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/web"
)

var (
	listInvitationsDoc = Doc{
		Summary: "List the invitations, newest first, also those that are used up or have expired within a day.",
		Out:     []Invitation{},
		Status:  200,
	}
	createInvitationDoc = Doc{
		Summary: "Invite users. A user who opens the link of the response chooses a name and a password, and is in " +
			"these groups. With an address, the link is sent there in place of the response.",
		In:     NewInvitation{},
		Out:    MadeInvitation{},
		Status: 201,
		Fails:  []int{409},
	}
	endInvitationDoc = Doc{
		Summary: "End an invitation. Users who were added by it stay.",
		Status:  204,
		Fails:   []int{404},
	}
)

// NewInvitation describes an invitation to make.
type NewInvitation struct {
	Note     string   `json:"note,omitempty" jsonschema:"For the list of invitations; users do not see it"`
	Email    string   `json:"email,omitempty" jsonschema:"Address of the new user, to which the link is sent"`
	Groups   []string `json:"groups,omitempty" jsonschema:"Groups of the new users"`
	Uses     int64    `json:"max_uses,omitempty" jsonschema:"Accounts that it is good for, 1 to 1000. Default: 1"`
	Lifetime int64    `json:"lifetime_s,omitempty" jsonschema:"Seconds, 60 to 604800. Default: 1800"`
}

// Invitation is an invitation, without its secret.
type Invitation struct {
	ID      string    `json:"id"`
	Note    string    `json:"note,omitempty"`
	Email   string    `json:"email,omitempty" jsonschema:"Address to which the link was sent"`
	Groups  []string  `json:"groups"`
	By      string    `json:"created_by" jsonschema:"Who invites, as in the audit log"`
	Most    int64     `json:"max_uses"`
	Used    int64     `json:"uses"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at"`
}

// MadeInvitation is an invitation that was just made.
type MadeInvitation struct {
	Invitation
	URL string `json:"url,omitempty" jsonschema:"Contains a secret, returned only here. Absent if it was sent"`
}

// invitationOf returns what callers may see of an invitation.
func invitationOf(inv invite.Invitation) Invitation {
	return Invitation{
		ID:      inv.ID,
		Note:    inv.Note,
		Email:   inv.Email,
		Groups:  inv.Groups,
		By:      inv.Actor,
		Most:    inv.Most,
		Used:    inv.Used,
		Created: inv.Created,
		Expires: inv.Expires,
	}
}

// listInvitations answers GET /invitations.
func (a *API) listInvitations(w *web.Reply, r *http.Request, _ caller) error {
	all, err := a.Invites.List(r.Context())
	if err != nil {
		return err
	}

	list := make([]Invitation, len(all))
	for i, inv := range all {
		list[i] = invitationOf(inv)
	}

	return web.JSON(w, http.StatusOK, list)
}

// createInvitation answers POST /invitations. Only callers who may put a user into every group get here.
func (a *API) createInvitation(w *web.Reply, r *http.Request, c caller) error {
	if a.InviteURL == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "there are no pages to make an account at; see issuer.pages")
	}

	in, err := web.Read[NewInvitation](r)
	if err != nil {
		return err
	}
	if in.Lifetime < 0 || in.Lifetime > int64(invite.MaxLifetime/time.Second) {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid lifetime_s: want 60 to 604800 seconds")
	}

	req := invite.Request{
		Note:     in.Note,
		Email:    in.Email,
		Groups:   in.Groups,
		Uses:     cmp.Or(in.Uses, 1),
		Lifetime: cmp.Or(time.Duration(in.Lifetime)*time.Second, invite.DefaultLifetime),
		Event:    a.event(w, c, "", ""),
	}
	if !c.operator {
		acct, err := a.account(r.Context(), c)
		if err != nil {
			return err
		}
		req.Inviter = acct.ID
	}

	inv, secret, err := a.Invites.Add(r.Context(), req)
	if err != nil {
		return err
	}

	out := MadeInvitation{Invitation: invitationOf(inv)}
	if !secret.IsZero() {
		out.URL = a.InviteURL(secret)
	}

	return web.JSON(w, http.StatusCreated, out)
}

// endInvitation answers DELETE /invitations/{id}.
func (a *API) endInvitation(w *web.Reply, r *http.Request, c caller) error {
	if err := a.Invites.End(r.Context(), r.PathValue("id"), a.event(w, c, "", "")); err != nil {
		return err
	}

	return web.NoContent(w)
}
