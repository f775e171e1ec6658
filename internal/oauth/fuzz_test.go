package oauth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// sent returns the response to a request that a fuzzer made, or nil for an invalid request.
type sent struct {
	status int
	body   string
}

func send(t *testing.T, c *http.Client, method, address, body string, header ...string) *sent {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		return nil
	}

	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}

	resp, err := c.Do(r)
	if err != nil {
		if strings.Contains(err.Error(), "invalid header field") {
			return nil
		}
		t.Fatal(err) // a panic of the handler would close the connection
	}
	defer resp.Body.Close()

	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}

	return &sent{resp.StatusCode, string(b)}
}

// lookalikes are valid JWTs, but signed with a key of no client.
func (f *fixture) lookalikes() []string {
	attacker := jetontest.Key{Client: "ci", Signer: newSigner(f.t, jose.EdDSA, "")}
	text := attacker.Assertion("", f.claims(attacker))
	p := strings.Split(text, ".")
	access := with(f.claims(attacker), map[string]any{
		"client_id": "ci",
		"gen":       "c1.1",
		"nbf":       noon.Unix(),
		"aud":       "reports",
		"iss":       f.Issuer(),
		"sub":       "ci",
	})
	return []string{
		text,
		attacker.Assertion("at+jwt", access),
		p[0] + "." + p[1] + ".",
		b64(`{"alg":"none"}`) + "." + p[1] + ".",
		"..",
		"a.b.c",
		"jtn_a_" + strings.Repeat("0", 43) + "2hklFN",
	}
}

// FuzzToken sends forms to the token endpoint: each is refused in the way of RFC 6749.
func FuzzToken(f *testing.F) {
	s := newFixture(f, many)
	s.client("ci")
	s.secret("ci")
	address, c := s.Issuer()+"/oauth2/token", s.plain

	for _, text := range s.lookalikes() {
		f.Add(
			"grant_type=client_credentials&audience=reports&client_assertion_type="+url.QueryEscape(assertionType)+
				"&client_assertion="+
				text,
			"",
		)
		f.Add("grant_type="+url.QueryEscape(grantAssertion)+"&assertion="+text, "")
		f.Add("grant_type=client_credentials&client_id=ci&client_secret="+text, "")
		f.Add("grant_type=client_credentials", "Bearer "+text)
	}

	f.Add("grant_type=client_credentials&scope=read+write&resource=a&resource=b", basicOf("ci:x"))
	f.Add("grant_type=client_credentials&client_id=ci", basicOf("%63i:%"))
	f.Add("a=%zz&;&&=", "Basic")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		header := []string{"Content-Type", formType}
		if authorization != "" {
			header = append(header, "Authorization", authorization)
		}

		a := send(t, c, http.MethodPost, address, body, header...)
		if a == nil || a.status == http.StatusRequestHeaderFieldsTooLarge {
			return
		}

		var out struct {
			Error string `json:"error"`
		}
		if a.status != 400 && a.status != 401 && a.status != 413 || json.Unmarshal(
			[]byte(a.body),
			&out,
		) != nil || out.Error == "" {
			t.Errorf("got %d %s, want 400, 401 or 413 with an error", a.status, a.body)
		}
	})
}

// FuzzBearer sends texts to every endpoint that accepts a token: none of them is valid.
func FuzzBearer(f *testing.F) {
	s := newFixture(f, many)
	s.client("ci")
	proof := "&client_id=ci&client_secret=" + s.secret("ci")
	reports := s.URL("reports") + "/who"
	lesson := s.URL("lesson") + "/who"

	issuer := s.Issuer()
	c := s.plain

	for _, text := range s.lookalikes() {
		f.Add(text)
	}

	f.Add("")
	f.Add(" ")
	f.Add("jtn_")
	f.Fuzz(func(t *testing.T, text string) {
		if a := send(
			t, c, http.MethodGet, reports, "", "Authorization", "Bearer "+text,
		); a != nil && a.status != 401 && a.status != 431 && a.status != 400 {
			t.Errorf("as bearer: got %d %s, want 400, 401 or 431", a.status, a.body)
		}
		if a := send(t, c, http.MethodPost, lesson, text); a != nil && a.status != 403 && a.status != 413 {
			t.Errorf("as a body: got %d %s, want 403 or 413", a.status, a.body)
		}

		for path, want := range map[string]string{"/oauth2/introspect": inactive, "/oauth2/revoke": ""} {
			a := send(
				t, c, http.MethodPost, issuer+path, "token="+url.QueryEscape(text)+proof,
				"Content-Type", formType,
			)
			if a.status == 413 || a.status == 400 && text == "" {
				continue
			}
			if a.status != 200 || a.body != want {
				t.Errorf("%s: got %d %s, want 200 %s", path, a.status, a.body, want)
			}
		}
	})
}
