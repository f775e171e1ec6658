package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/web"
)

// provedNow returns jeton.ErrProof unless the user of the session gave the password within the time that is enough
// for what follows. A page asks before its form is filled, not after.
func (p *Pages) provedNow(w *web.Reply, r *http.Request) error {
	proved, err := p.Sessions.Proved(r.Context(), gate.From(w).Principal().Session)
	if err != nil {
		return err
	}

	// A minute is left to fill the form. A clock that is set back makes no proof recent.
	if w.Start.Sub(proved).Abs() > proofAge-time.Minute {
		return jeton.ErrProof
	}

	return nil
}

// provedForm returns what was typed into a form that needs a recent proof, before the page asked for that. It returns
// the errors of provedNow.
func (p *Pages) provedForm(w *web.Reply, r *http.Request) (url.Values, error) {
	if err := p.provedNow(w, r); err != nil {
		return nil, err
	}

	return p.typed(w, r)
}

// typedParam is the parameter of a form that waited for a proof: the ticket of what was typed.
const typedParam = "typed"

// proveFirst sends a user whose proof is too old to give it, and back to a form with what was typed. That is kept in a
// ticket of this session: no address can fill in a form of a user, and none shows what was typed.
func (p *Pages) proveFirst(w *web.Reply, r *http.Request, path string, typed url.Values, cause error) error {
	live, err := p.live(w, r)
	if err != nil {
		return err
	}
	if live == nil {
		return cause // it ended a moment ago
	}
	web.Mark(w, cause)

	secret, err := p.Tickets.Issue(r.Context(), ticket.Ticket{
		Purpose: ticket.Form,
		Login:   live.Login,
		Data:    []byte(path + "?" + typed.Encode()),
		Expires: p.Now().Add(proofAge),
	})
	if err != nil {
		return see(w, provePathBy(path, policy.RequiredBy(cause))) // the form comes back empty
	}

	return see(w, provePathBy(pathWith(path, url.Values{typedParam: {secret.Reveal()}}), policy.RequiredBy(cause)))
}

// unproved returns jeton.ErrProof of the API with what services require of the user who creates a token for them.
func (p *Pages) unproved(w *web.Reply, r *http.Request, services []string, cause error) error {
	unmet := &policy.Unmet{Text: jeton.Detail(cause), InSession: true}
	for _, t := range p.Targets {
		if !slices.Contains(services, t.Service) {
			continue
		}

		rule, err := t.RequireOf(r.Context(), gate.From(w).Principal(), w.Start)
		if err != nil {
			return cause
		}
		unmet.Require = unmet.And(rule)
	}

	return unmet
}

// typed returns what was typed into a form before the proof, or nothing.
func (p *Pages) typed(w *web.Reply, r *http.Request) (url.Values, error) {
	text := r.URL.Query().Get(typedParam)
	if text == "" {
		return url.Values{}, nil
	}

	live, err := p.live(w, r)
	if err != nil {
		return nil, err
	}

	kept, err := p.Tickets.Look(r.Context(), ticket.Form, text)
	if undecided(err) {
		return nil, err
	}

	query, ours := strings.CutPrefix(string(kept.Data), r.URL.Path+"?")
	if err != nil || live == nil || kept.Login != live.Login || !ours {
		return url.Values{}, nil
	}

	return url.ParseQuery(query)
}
