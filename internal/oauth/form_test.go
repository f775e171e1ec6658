package oauth_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// post sends a body as it stands; header holds names and values by turns.
func (f *fixture) post(path, body string, header ...string) jetontest.Answer {
	f.t.Helper()
	return f.Send(f.plain, "POST", f.Issuer()+path, body, append([]string{"Content-Type", formType}, header...)...)
}

func TestForms(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	secret := f.secret("ci")
	const ask = "grant_type=client_credentials&audience=opaque"
	bySecret := ask + "&client_id=ci&client_secret=" + secret

	assertion := func() string {
		return "&client_assertion_type=" + url.QueryEscape(assertionType) + "&client_assertion=" + f.right(ci)
	}

	grant := "grant_type=" + url.QueryEscape(grantAssertion) + "&audience=opaque"
	right := basicOf("ci:" + secret)
	for _, tc := range []struct {
		name   string
		body   string
		header []string
		query  string
		status int
		answer string // code and description; "": a token
	}{
		{"a secret in the form", bySecret, nil, "", 200, ""},
		{"a secret in Basic", ask, []string{"Authorization", right}, "", 200, ""},
		{
			"a secret in Basic, and the same client_id",
			ask + "&client_id=ci",
			[]string{"Authorization", right},
			"",
			200,
			"",
		},
		{"an assertion", ask + assertion(), nil, "", 200, ""},
		{"an assertion and the same client_id", ask + "&client_id=ci" + assertion(), nil, "", 200, ""},
		{"an assertion as a grant", grant + "&assertion=" + f.right(ci), nil, "", 200, ""},
		{
			"unknown parameters",
			bySecret + "&a=b&a=c&a[]=d",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{"one unknown parameter", bySecret + "&a=b", nil, "", 200, ""},
		{
			"parameters without a value, which are absent",
			bySecret + "&scope=&client_assertion=&client_assertion_type=&assertion=&client_secret=",
			nil,
			"",
			200,
			"",
		},
		{"a plus in the scope", bySecret + "&scope=read+write", nil, "", 200, ""},
		{"just 64 KiB", bySecret + "&pad=" + strings.Repeat("x", 64<<10-len(bySecret)-5), nil, "", 200, ""},
		{
			"a byte more",
			bySecret + "&pad=" + strings.Repeat("x", 64<<10-len(bySecret)-4),
			nil,
			"",
			413,
			"invalid_request: the body of the request is over 64 KiB",
		},
		{
			"a hundred and one parameters more",
			bySecret + strings.Repeat("&a=", 101),
			nil,
			"",
			400,
			"invalid_request: the form has more than 100 fields",
		},
		{
			"a broken percent sign",
			bySecret + "&a=%zz",
			nil,
			"",
			400,
			"invalid_request: the form is not properly encoded",
		},
		{
			"semicolons for ampersands",
			strings.ReplaceAll(bySecret, "&", ";"),
			nil,
			"",
			400,
			"invalid_request: the form is not properly encoded",
		},
		{"an empty body", "", nil, "", 400, "invalid_request: grant_type is missing"},
		{
			"no grant_type",
			strings.TrimPrefix(bySecret, "grant_type=client_credentials&"),
			nil,
			"",
			400,
			"invalid_request: grant_type is missing",
		},
		{
			"grant_type in the query",
			strings.TrimPrefix(bySecret, "grant_type=client_credentials&"),
			nil,
			"?grant_type=client_credentials",
			400,
			"invalid_request: grant_type is missing",
		},
		{
			"a grant that there is not",
			"grant_type=password&client_id=ci&client_secret=" + secret,
			nil,
			"",
			400,
			"unsupported_grant_type: unknown grant_type; grant_types_supported in the metadata has them",
		},
		{
			"a grant in capitals",
			"grant_type=CLIENT_CREDENTIALS&client_id=ci&client_secret=" + secret,
			nil,
			"",
			400,
			"unsupported_grant_type: unknown grant_type; grant_types_supported in the metadata has them",
		},
		{
			"two of grant_type",
			bySecret + "&grant_type=client_credentials",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{
			"two of client_id",
			bySecret + "&client_id=ci",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{
			"two of client_secret",
			bySecret + "&client_secret=x",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{
			"two of client_assertion",
			ask + assertion() + "&client_assertion=x",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{
			"two of scope",
			bySecret + "&scope=read&scope=write",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{
			"a grant's assertion given twice",
			grant + "&assertion=" + f.right(ci) + "&assertion=x",
			nil,
			"",
			400,
			"invalid_request: a parameter is given more than once",
		},
		{
			"Basic and a secret",
			bySecret,
			[]string{"Authorization", right},
			"",
			400,
			"invalid_request: more than one way to prove a client; use one",
		},
		{
			"Basic and an assertion",
			ask + assertion(),
			[]string{"Authorization", right},
			"",
			400,
			"invalid_request: more than one way to prove a client; use one",
		},
		{
			"a secret and an assertion",
			bySecret + assertion(),
			nil,
			"",
			400,
			"invalid_request: more than one way to prove a client; use one",
		},
		{
			"a grant and a secret",
			grant + "&client_id=ci&client_secret=" + secret + "&assertion=" + f.right(ci),
			nil,
			"",
			400,
			"invalid_request: the assertion is the proof; no other is needed next to it",
		},
		{
			"a grant and Basic",
			grant + "&assertion=" + f.right(ci),
			[]string{"Authorization", right},
			"",
			400,
			"invalid_request: the assertion is the proof; no other is needed next to it",
		},
		{
			"a grant and a client assertion",
			grant + "&assertion=" + f.right(ci) + assertion(),
			nil,
			"",
			400,
			"invalid_request: the assertion is the proof; no other is needed next to it",
		},
		{"a grant without its assertion", grant, nil, "", 400, "invalid_request: assertion is missing"},
		{
			"a grant with a secret in its place",
			grant + "&client_id=ci&client_secret=" + secret,
			nil,
			"",
			400,
			"invalid_request: the assertion is the proof; no other is needed next to it",
		},
		{
			"an assertion without its type",
			ask + "&client_assertion=" + f.right(ci),
			nil,
			"",
			400,
			"invalid_request: client_assertion goes with client_assertion_type=" + assertionType,
		},
		{
			"an assertion of SAML",
			ask + "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:saml2-bearer&client_assertion=" +
				f.right(ci),
			nil,
			"",
			400,
			"invalid_request: client_assertion goes with client_assertion_type=" + assertionType,
		},
		{
			"the type of an assertion alone",
			ask + "&client_assertion_type=" + assertionType,
			nil,
			"",
			400,
			"invalid_request: client_assertion goes with client_assertion_type=" + assertionType,
		},
		{"no credential", ask, nil, "", 401, "invalid_client"},
		{"a name alone", ask + "&client_id=ci", nil, "", 401, "invalid_client"},
		{"a secret alone", ask + "&client_secret=" + secret, nil, "", 401, "invalid_client"},
		{"a secret in the query", ask, nil, "?client_id=ci&client_secret=" + secret, 401, "invalid_client"},
		{"an assertion in the query", ask, nil, "?" + assertion()[1:], 401, "invalid_client"},
		{
			"the secret of an unknown client",
			ask + "&client_id=unknown&client_secret=" + secret,
			nil,
			"",
			401,
			"invalid_client",
		},
		{
			"another name in Basic",
			ask + "&client_id=other",
			[]string{"Authorization", right},
			"",
			401,
			"invalid_client",
		},
		{"another name beside the assertion", ask + "&client_id=other" + assertion(), nil, "", 401, "invalid_client"},
		{
			"another name beside a grant",
			grant + "&client_id=other&assertion=" + f.right(ci),
			nil,
			"",
			400,
			"invalid_grant",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := f.on(t)
			a := f.post("/oauth2/token"+tc.query, tc.body, tc.header...)

			if tc.answer == "" {
				opens(t, "the answer", a)
				return
			}

			code, description, described := strings.Cut(tc.answer, ": ")
			want := `{"error":"` + code + `"}`
			if described {
				want = `{"error":"` + code + `","error_description":"` + description + `"}`
			}

			if a.Status != tc.status || strings.TrimSpace(a.Body) != want {
				t.Errorf("%d %s, want %d %s", a.Status, a.Body, tc.status, want)
			}
			if a.Header.Get("Cache-Control") != "no-store" || strings.Contains(fmt.Sprint(a.Header), secret) {
				t.Errorf("header = %v, want no-store and no secret", a.Header)
			}

			if code == "invalid_client" || code == "invalid_grant" {
				if name, value := f.failed(a.Request()); name == "" || strings.Contains(value, secret) {
					t.Errorf("failed check = %q: %q, want one without the secret", name, value)
				}
			}

			challenge := a.Header.Get("Www-Authenticate")
			if (challenge != "") != (a.Status == 401 && len(tc.header) > 0) {
				t.Errorf("challenge = %q with %d, want one only with 401 and a header", challenge, a.Status)
			}
		})
	}

	t.Run("types of content", func(t *testing.T) {
		f := f.on(t)
		for kind, ok := range map[string]bool{
			formType:                            true,
			formType + "; charset=utf-8":        true,
			"APPLICATION/X-WWW-FORM-URLENCODED": true,
			"":                                  false,
			"application/json":                  false,
			"text/plain":                        false,
			"multipart/form-data; boundary=x":   false,
			"application/x-www-form-urlencoded, text/plain": false,
			"x/" + formType: false,
		} {
			a := f.Send(f.plain, "POST", f.Issuer()+"/oauth2/token", bySecret, "Content-Type", kind)
			const refusal = `{"error":"invalid_request",` +
				`"error_description":"send application/x-www-form-urlencoded"}` + "\n"
			if (a.Status == 200) != ok || !ok && a.Body != refusal {
				t.Errorf("%q: got %d %s, want accepted %t", kind, a.Status, a.Body, ok)
			}
		}
	})

	t.Run("methods", func(t *testing.T) {
		f := f.on(t)
		for _, path := range []string{"/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/keys"} {
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH"} {
				if a := f.Send(
					f.plain, method, f.Issuer()+path+"?"+bySecret, bySecret, "Content-Type", formType,
				); a.Status != 405 || a.Header.Get("Allow") != "POST" {
					t.Errorf("%s %s: got %d, Allow %q; want 405, POST", method, path, a.Status, a.Header.Get("Allow"))
				}
			}
		}
	})

	t.Run("at introspection and revocation", func(t *testing.T) {
		f := f.on(t)
		for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
			for body, want := range map[string]string{
				"client_id=ci&client_secret=" +
					secret: `{"error":"invalid_request","error_description":"token is missing"}`,
				"token=&client_id=ci&client_secret=" +
					secret: `{"error":"invalid_request","error_description":"token is missing"}`,
				"token=a&token=b&client_id=ci&client_secret=" +
					secret: `{"error":"invalid_request","error_description":"a parameter is given more than once"}`,
				"token=a&client_id=ci&client_secret=" + secret + "x": `{"error":"invalid_client"}`,
				"token=a&client_id=ci&client_secret=x&client_assertion=x": `{"error":"invalid_request",` +
					`"error_description":"client_assertion goes with client_assertion_type=` +
					assertionType +
					`"}`,
				"token=a&client_id=ci&client_secret=" + secret +
					"&a=%": `{"error":"invalid_request","error_description":"the form is not properly encoded"}`,
				"token=a&client_id=ci&client_secret=" + secret + "&token=": "",
			} {
				a := f.post(path, body)
				if want == "" && a.Status != 200 || want != "" && strings.TrimSpace(a.Body) != want {
					t.Errorf("%s with %s: %d %s, want %s", path, body, a.Status, a.Body, want)
				}
			}

			bare(t, f.post(path+"?client_id=ci&client_secret="+secret, "token=a"), 401, "invalid_client")
		}
	})
}
