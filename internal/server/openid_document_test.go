package server_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/jetontest"
)

// documents accepts the clients that a site describes, and no others.
const documents = `
issuer:
  url: "https://localhost:${ISSUER_PORT}"
  listen: "localhost:${ISSUER_PORT}"
  client_documents:
    - {host: "${SITE}", services: [notes], scopes: ["notes:read"], ca: "${SITE_CA}", private_network: true}
services:
  - name: notes
    listen: localhost:0
    tokens: {}
    user_scopes: [{scopes: ["notes:read"]}]
    routes: [{match: GET /read, scopes: ["notes:read"], respond: {template: '{{.Name}}'}}]
`

const agentDone = "http://127.0.0.1:5/done"

// documentSite is a site with the document of a client.
type documentSite struct {
	*httptest.Server
	asked atomic.Int64
	agent string // address of the document, and so client_id
}

// startDocuments starts a site, and a server that accepts its documents.
func startDocuments(t *testing.T) (*jetontest.Server, *documentSite) {
	t.Helper()
	site := &documentSite{}
	site.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site.asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		name := site.URL + r.URL.Path
		if strings.HasPrefix(r.URL.Path, "/copies/") {
			name = site.agent
		}
		const text = `{"client_id": %q, "redirect_uris": ["http://127.0.0.1/done", "%s/done"]}`
		_, _ = fmt.Fprintf(w, text, name, site.URL)
	}))
	t.Cleanup(site.Close)
	site.agent = site.URL + "/agent/client.json"

	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}

	host := site.Listener.Addr().String()
	s := jetontest.Start(t, documents, jetontest.Env("SITE", host), jetontest.Env("SITE_CA", ca))
	s.AddUser("diane", right)

	return s, site
}

// agentAsks returns an authorization request of a client for tokens for notes.
func agentAsks(s *jetontest.Server, client, redirect string, changes ...string) string {
	return authorizationOf(s, client, redirect, append([]string{
		"scope", "notes:read offline_access",
		"resource", "notes",
	}, changes...)...)
}

// chosen loads an authorization request of a public client, and chooses the account on the page that it leads to.
func (b *browser) chosen(address string) jetontest.Answer {
	b.t.Helper()
	_, back := b.shown(address)

	return b.open(back)
}

// TestAClientThatADocumentDescribesSignsUsersIn has no registration.
func TestAClientThatADocumentDescribesSignsUsersIn(t *testing.T) {
	s, site := startDocuments(t)
	metadata := s.Send(s.Client(), http.MethodGet, s.Issuer()+"/.well-known/oauth-authorization-server", "")
	if !strings.Contains(metadata.Body, `"client_id_metadata_document_supported":true`) {
		t.Errorf("the metadata are %s, want client_id_metadata_document_supported", metadata.Body)
	}

	b := newBrowser(t, s)
	b.signIn("diane")
	asks := agentAsks(s, site.agent, agentDone)

	a := b.chosen(asks)
	host := site.Listener.Addr().String()
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "It is described by <strong>"+host+"</strong>") ||
		!strings.Contains(a.Body, "a program on your computer") || !strings.Contains(a.Body, site.agent) {
		t.Errorf("got %d %s, want a page that names the client, its host and where the browser goes", a.Status, a.Body)
	}

	changes := []string{"client_id", site.agent, "client_secret", "", "redirect_uri", agentDone}
	got := redeem(t, s, b.codeFor(b.consent("allow")), changes...)
	if got.Access == "" || got.Refresh == "" || got.Scope != "notes:read offline_access" {
		t.Fatalf("got %+v, want tokens", got)
	}
	used := s.Ask(http.MethodGet, "notes", "/read", bearer(got.Access)...)
	if used.Status != http.StatusOK || used.Body != "diane" {
		t.Errorf("with the token: got %d %q, want diane", used.Status, used.Body)
	}

	// The site may be away: a refresh needs its document no more.
	site.Close()
	got = refresh(t, s, got.Refresh, changes[:4]...)
	if got.Access == "" {
		t.Fatalf("refresh: got %+v, want tokens", got)
	}

	// Asked again, at each sign-in.
	if got := b.redirected(agentAsks(s, site.agent, agentDone, "prompt", "none")).Get("error"); got == "" {
		t.Error("prompt=none: got no error, want one")
	}
	b.chosen(asks)
	if !strings.HasPrefix(b.at(), s.Issuer()+"/consent?") {
		t.Errorf("a second sign-in is at %q, want the page that asks for consent", b.at())
	}
	if n := site.asked.Load(); n != 1 {
		t.Errorf("the site was asked %d times, want 1", n)
	}

	// An operator knows it as any client, and ends it.
	path := "/api/v1/clients/" + naming.ClientInPath(site.agent)
	var shown jeton.Client
	s.MustControl(http.MethodGet, path, nil, &shown)
	if shown.Name != site.agent || !slices.Equal(shown.Services, []string{"notes"}) {
		t.Errorf("the client is %+v, want that of the document", shown)
	}
	s.MustControl(http.MethodPut, path+"/disabled", map[string]bool{"disabled": true}, nil)
	if got := refresh(t, s, got.Refresh, changes[:4]...); got.Error == "" {
		t.Errorf("refresh of a disabled client: got %+v, want an error", got)
	}
	if a := b.open(asks); a.Status != http.StatusBadRequest {
		t.Errorf("sign-in at a disabled client: got %d, want 400", a.Status)
	}
}

// TestAClientWithoutAValidDocumentSignsNoUserIn redirects nowhere.
func TestAClientWithoutAValidDocumentSignsNobodyIn(t *testing.T) {
	s, site := startDocuments(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name, client, redirect string
		want                   int
		reason                 string // of the audit event, if there is one
	}{
		{"another host", "https://app.example/client.json", "https://app.example/done", 400, ""},
		{
			"a document of another client", site.URL + "/copies/client.json", agentDone, 400,
			"client_id in the document of the client is not its address",
		},
		{"an address that is not in the document", site.agent, "http://127.0.0.1:5/other", 400, ""},
		{"an address of another site", site.agent, "https://app.example/done", 400, ""},
		{"its own name with more", site.agent + "?a=1", agentDone, 400, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			a := b.get(agentAsks(s, tc.client, tc.redirect))
			if a.Status != tc.want || a.Header.Get("Location") != "" {
				t.Errorf("got %d to %q, want %d", a.Status, a.Header.Get("Location"), tc.want)
			}

			events := s.Events()
			i := slices.IndexFunc(events, func(e jeton.Event) bool { return e.Request == a.Request() })
			if tc.reason == "" {
				if i >= 0 {
					t.Errorf("the audit log has %+v, want no event", events[i])
				}
				return
			}
			if i < 0 || events[i].Action != audit.ClientDocument || events[i].Reason != tc.reason {
				t.Errorf("the audit log has %+v, want why the document was refused", events)
			}
		})
	}

	// A site that is away describes no client.
	site.Close()
	if a := b.get(agentAsks(s, site.URL+"/late/client.json", agentDone)); a.Status != http.StatusServiceUnavailable {
		t.Errorf("a site that is away: got %d, want 503", a.Status)
	}
}
