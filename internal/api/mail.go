package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/web"
)

var mailTestDoc = Doc{
	Summary: "Send a mail to an address at once, to see whether it arrives. The refusal has the words of the mail " +
		"server.",
	In:     MailTest{},
	Status: 204,
	Fails:  []int{404},
}

// MailTest is a mail that an operator sends to see whether it arrives.
type MailTest struct {
	To string `json:"to" jsonschema:"Address"`
}

// testMail answers POST /mail/test.
func (a *API) testMail(w *web.Reply, r *http.Request, _ caller) error {
	in, err := web.Read[MailTest](r)
	if err != nil {
		return err
	}
	if err := naming.Email(in.To); err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}

	if err := a.TestMail(r.Context(), in.To); err != nil {
		return err
	}

	return web.NoContent(w)
}
