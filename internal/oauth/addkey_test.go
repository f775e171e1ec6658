package oauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestClientsRegisterKeys has clients register another key of their own.
func TestClientsRegisterKeys(t *testing.T) {
	f := newFixture(t, many)
	ci, other := f.client("ci"), f.client("other")
	secret := f.secret("ci")

	fresh := func() (jetontest.Key, string) {
		s := newSigner(t, "EdDSA", "")
		return jetontest.Key{Client: "ci", Signer: s}, string(s.Key().PEM())
	}

	proof := func(k jetontest.Key) string { return k.Assertion("key-possession+jwt", f.claims(k)) }
	ask := func(by jetontest.Key, pem, proof string, fields ...string) jetontest.Answer {
		return f.called("/oauth2/keys", by, "", append([]string{"key", pem, "proof", proof}, fields...)...)
	}

	k, pem := fresh()
	if a := ask(ci, pem, proof(k)); a.Status != 201 || a.Body != fmt.Sprintf("{\"kid\":%q}\n", signerOf(k).Key().ID) {
		t.Fatalf("got %d %s, want 201", a.Status, a.Body)
	}

	opens(t, "the new key", f.show(ways[0], f.right(k)))
	opens(t, "the old key", f.show(ways[0], f.right(ci)))

	for _, tc := range []struct {
		name   string
		ask    func() jetontest.Answer
		status int
		says   string // of the answer
		reason string // of the operator's event
	}{
		{"a secret in place of an older key", func() jetontest.Answer {
			k, pem := fresh()
			return f.Post("/oauth2/keys", "client_id", "ci", "client_secret", secret, "key", pem, "proof", proof(k))
		}, 400, "a secret does not do", ""},
		{
			"no credential",
			func() jetontest.Answer { _, pem := fresh(); return ask(ci, pem, "") },
			400,
			"invalid proof: want a JWT",
			"not a signed JWT",
		},
		{
			"the proof of another key",
			func() jetontest.Answer { _, pem := fresh(); k, _ := fresh(); return ask(ci, pem, proof(k)) },
			400,
			"invalid proof: want a JWT",
			"the signature is wrong",
		},
		{
			"a proof by the old key",
			func() jetontest.Answer { _, pem := fresh(); return ask(ci, pem, proof(ci)) },
			400,
			"invalid proof: want a JWT",
			"the signature is wrong",
		},
		{"a proof for another client", func() jetontest.Answer {
			k, pem := fresh()
			k.Client = "other"
			return ask(ci, pem, proof(k))
		}, 400, "invalid proof: want a JWT", "name different clients"},
		{"a proof for another server", func() jetontest.Answer {
			k, pem := fresh()
			return ask(ci, pem, f.sign(t, k, with(f.claims(k), map[string]any{"aud": "https://other.example"}), nil))
		}, 400, "invalid proof: want a JWT", "not exactly our issuer"},
		{"a proof that was shown before", func() jetontest.Answer {
			k, pem := fresh()
			p := proof(k)
			if a := ask(ci, pem, p, "kid", "replayed"); a.Status != 201 {
				t.Errorf("got %d %s, want 201", a.Status, a.Body)
			}

			return ask(ci, pem, p, "kid", "again")
		}, 400, "invalid proof: want a JWT", "used before"},
		{
			"a key that it has",
			func() jetontest.Answer { return ask(ci, string(signerOf(ci).Key().PEM()), proof(ci)) },
			409,
			"invalid_request",
			"",
		},
		{"no key", func() jetontest.Answer { return ask(ci, "", proof(ci)) }, 400, "key is no public key", ""},
		{
			"a weak algorithm",
			func() jetontest.Answer { k, pem := fresh(); return ask(ci, pem, proof(k), "alg", "HS256") },
			400,
			"key is no public key",
			"",
		},
		{
			"a kid that would be a secret",
			func() jetontest.Answer { k, pem := fresh(); return ask(ci, pem, proof(k), "kid", "jtn_c_x") },
			400,
			"kid",
			"",
		},
		{
			"a client that is not declared here for another",
			func() jetontest.Answer { k, pem := fresh(); return ask(other, pem, proof(k)) },
			400,
			"invalid proof: want a JWT",
			"name different clients",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := f.on(t)
			a := tc.ask()
			if a.Status != tc.status || !strings.Contains(a.Body, tc.says) {
				t.Errorf("%d %s, want %d %q", a.Status, a.Body, tc.status, tc.says)
			}

			if tc.reason == "" {
				return
			}

			_, e := f.checks(a.Request())
			if !strings.Contains(fmt.Sprint(e.Reason, e.Checks), tc.reason) {
				t.Errorf("the operator sees %+v, want %q", e, tc.reason)
			}
		})
	}

	if got := kids(t, f.get("/oauth2/clients/ci/jwks.json").Body); len(got) != 3 {
		t.Errorf("the client has the keys %v, want 3", got)
	}
	if got := kids(t, f.get("/oauth2/clients/other/jwks.json").Body); len(got) != 1 {
		t.Errorf("the other client has the keys %v, want 1", got)
	}
}
