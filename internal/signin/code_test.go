package signin

import (
	"encoding/json"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// TestACodeIsCheckedAgainstItsGrant changes one thing at a time. Two services cannot have the same
// address, so a request over HTTP cannot have the wrong service alone.
func TestACodeIsCheckedAgainstItsGrant(t *testing.T) {
	const redirect = "https://shop.example/.jeton/finish"
	// The verifier and the challenge of RFC 7636, appendix B.
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	data, err := json.Marshal(codeData{Redirect: redirect, Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"})
	if err != nil {
		t.Fatal(err)
	}

	code := ticket.Ticket{Purpose: ticket.Code, Service: "shop", Data: data}
	right := CodeRequest{Service: "shop", Redirect: redirect, Verifier: verifier}

	for _, tc := range []struct {
		name   string
		change func(*CodeRequest)
		want   error
	}{
		{"what it was granted for", func(*CodeRequest) {}, nil},
		{"another service", func(r *CodeRequest) { r.Service = "blog" }, jeton.ErrBadCredential},
		{"another address", func(r *CodeRequest) { r.Redirect += "/" }, jeton.ErrBadCredential},
		{"another code_verifier", func(r *CodeRequest) { r.Verifier = "x" + verifier[1:] }, jeton.ErrBadCredential},
		{"no code_verifier", func(r *CodeRequest) { r.Verifier = "" }, jeton.ErrBadCredential},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := right
			tc.change(&request)

			err := checkCode(code, request, &auditTrail{})
			if jeton.Outcome(err) != tc.want {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}
