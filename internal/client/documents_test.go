package client_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/outbound"
)

// documented is a server that serves documents of clients over HTTPS, and clients that accept those.
type documented struct {
	*fixture
	site  *keyserver
	host  client.DocumentHost
	name  string // address of the document
	later atomic.Int64
}

// newDocumented starts both. The site answers with what document returns of the name of the client.
func newDocumented(t *testing.T, document func(name string) string) *documented {
	t.Helper()
	d := &documented{fixture: newFixture(t)}
	d.site = newKeyserver(t, httptest.NewTLSServer, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(document(d.name)))
	})

	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: d.site.Certificate().Raw}
	must(t, os.WriteFile(ca, pem.EncodeToMemory(block), 0o600))

	d.host = client.DocumentHost{
		Host:     d.site.Listener.Addr().String(),
		Services: []string{"notes"},
		Scopes:   []string{"read"},
		Target:   outbound.Target{CA: ca, Private: true},
	}
	d.name = d.site.URL + "/app/client.json"
	d.Clients = client.New(client.Config{
		Store: d.db,
		Now:   func() time.Time { return noon.Add(time.Duration(d.later.Load())) },
	})
	must(t, d.SetDocuments(t.Context(), []client.DocumentHost{d.host}))

	return d
}

// valid is the document of a program on the user's machine, and of pages of its own site.
func valid(name string) string {
	site := strings.TrimSuffix(name, "/app/client.json")

	return fmt.Sprintf(`{"client_id": %q, "client_name": "An app", "token_endpoint_auth_method": "none",
  "redirect_uris": ["http://127.0.0.1/done", "%s/done", "https://other.example/done", "http://localhost:5/done"]}`,
		name, site)
}

// read reads the document if that is necessary, as a sign-in does.
func (d *documented) read(t *testing.T) error {
	t.Helper()
	must, err := d.MustRead(t.Context(), d.name)
	if err != nil || !must {
		return err
	}

	return d.ReadDocument(t.Context(), d.name)
}

// TestADocumentDescribesItsClient has no more than its own addresses, and the terms of the configuration.
func TestADocumentDescribesItsClient(t *testing.T) {
	d := newDocumented(t, valid)
	must(t, d.read(t))

	c := d.find(t, d.name)
	want := []string{"http://127.0.0.1/done", "http://localhost:5/done", d.site.URL + "/done"}
	slices.Sort(want)
	switch {
	case c.ID == 0 || c.OpenID == nil:
		t.Fatalf("the client is %+v, want one that signs users in", c)
	case !slices.Equal(c.OpenID.RedirectURIs, want):
		t.Errorf("redirect_uris = %q, want %q", c.OpenID.RedirectURIs, want)
	case !c.OpenID.Public || !c.OpenID.AskConsent || !c.Described():
		t.Errorf("the client is %+v, want a public one that asks for consent", c.OpenID)
	case !slices.Equal(c.Services, []string{"notes"}) || !slices.Equal(c.Scopes, []string{"read"}):
		t.Errorf("services %q and scopes %q, want those of the host", c.Services, c.Scopes)
	}

	redirects := []string{"https://app.example/done"}
	err := d.SetAddresses(t.Context(), "operator", d.name, client.Addresses{Redirects: &redirects})
	wants(t, "SetAddresses", err, jeton.ErrInvalid)
	_, err = d.NewSecret(t.Context(), "operator", d.name, false)
	wants(t, "NewSecret", err, jeton.ErrInvalid)
}

// TestADocumentIsRefused answers with what an attacker could publish, or lead the server to.
func TestADocumentIsRefused(t *testing.T) {
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = w.Write([]byte(text))
		}
	}
	d := newDocumented(t, valid)
	with := func(more string) http.HandlerFunc {
		return says(fmt.Sprintf(`{"client_id": %q, "redirect_uris": ["http://127.0.0.1/done"]%s}`, d.name, more))
	}

	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   client.Reason
	}{
		{"a document of another client", says(valid(d.name + "x")), client.DocumentOfOther},
		{"the same address in upper case", says(valid(strings.ToUpper(d.name))), client.DocumentOfOther},
		{"no client_id", says(`{"redirect_uris": ["http://127.0.0.1/done"]}`), client.DocumentOfOther},
		{"a secret", with(`, "client_secret": "s3cret"`), client.DocumentSecret},
		{"an end of a secret", with(`, "client_secret_expires_at": 0`), client.DocumentSecret},
		{"a secret as the method", with(`, "token_endpoint_auth_method": "client_secret_post"`), client.DocumentMethod},
		{"a key as the method", with(`, "token_endpoint_auth_method": "private_key_jwt"`), client.DocumentMethod},
		{"another grant", with(`, "grant_types": ["client_credentials"]`), client.DocumentGrant},
		{"another response type", with(`, "response_types": ["token"]`), client.DocumentGrant},
		{
			"addresses of another site",
			says(fmt.Sprintf(`{"client_id": %q, "redirect_uris": ["https://victim.example/done",
				"https://127.0.0.1/done", "javascript:alert(1)", "com.example.app:/done"]}`, d.name)),
			client.DocumentAddresses,
		},
		{"no address", says(fmt.Sprintf(`{"client_id": %q}`, d.name)), client.DocumentAddresses},
		{"text", says("client"), client.DocumentNotJSON},
		{"two documents", says(valid(d.name) + valid(d.name)), client.DocumentNotJSON},
		{"too large", says(valid(d.name) + strings.Repeat(" ", 5<<10)), client.DocumentUnread},
		{"without a type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write([]byte(valid(d.name)))
		}, client.DocumentUnread},
		{"text by its type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(valid(d.name)))
		}, client.DocumentUnread},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/moved" {
				t.Error("the redirect is followed")
			}
			http.Redirect(w, r, "/moved", http.StatusFound)
		}, client.DocumentUnread},
		{"an error", broken, client.DocumentUnread},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d.later.Add(int64(time.Hour)) // no pause is left of the case before
			d.site.set(tc.answer)

			err := d.read(t)
			if client.ReasonOf(err) != tc.want {
				t.Errorf("ReadDocument: %v (%s), want %s", err, client.ReasonOf(err), tc.want)
			}
			if c := d.find(t, d.name); c.ID != 0 {
				t.Errorf("the client %+v is there", c)
			}
		})
	}
}

// TestADocumentReachesNoOtherPlace has hosts and addresses that requests must not go to.
func TestADocumentReachesNoOtherPlace(t *testing.T) {
	d := newDocumented(t, valid)
	port := d.site.URL[strings.LastIndex(d.site.URL, ":"):]

	private := d.host
	private.Target.Private = false
	named := private
	named.Host = "localhost" + port // a name is judged by where it leads
	system := d.host
	system.Target.CA = ""

	for _, tc := range []struct {
		name, address string
		host          client.DocumentHost
		want          client.Reason // "": no client can have the address
	}{
		{"an address of this machine", d.name, private, client.DocumentUnread},
		{"a name of this machine", "https://localhost" + port + "/app/client.json", named, client.DocumentUnread},
		{"a certificate of another authority", d.name, system, client.DocumentUnread},
		{"another host", "https://other.example/app/client.json", d.host, ""},
		{"another port", "https://127.0.0.1/app/client.json", d.host, ""},
		{"the host as a user name", d.site.URL + "@other.example/client.json", d.host, ""},
		{"a longer host", d.site.URL + ".other.example/client.json", d.host, ""},
		{"without TLS", strings.Replace(d.name, "https:", "http:", 1), d.host, ""},
		{"no path", d.site.URL, d.host, ""},
		{"the root", d.site.URL + "/", d.host, ""},
		{"a dot segment", d.site.URL + "/app/../client.json", d.host, ""},
		{"an encoded dot segment", d.site.URL + "/app/%2e%2e/client.json", d.host, ""},
		{"a query", d.name + "?a=1", d.host, ""},
		{"a fragment", d.name + "#a", d.host, ""},
		{"a backslash", d.site.URL + `\@other.example/client.json`, d.host, ""},
		{"a line break", d.name + "\nx", d.host, ""},
		{"a very long one", d.name + strings.Repeat("x", 255), d.host, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d.later.Add(int64(time.Hour))
			must(t, d.SetDocuments(t.Context(), []client.DocumentHost{tc.host}))

			required, err := d.MustRead(t.Context(), tc.address)
			if err != nil || required != (tc.want != "") {
				t.Fatalf("MustRead = %v, %v, want %v", required, err, tc.want != "")
			}
			err = d.ReadDocument(t.Context(), tc.address)
			if client.ReasonOf(err) != tc.want || tc.want == "" && err != nil {
				t.Errorf("ReadDocument: %v (%s), want %q", err, client.ReasonOf(err), tc.want)
			}
			if c := d.find(t, tc.address); c.ID != 0 {
				t.Errorf("the client %+v is there", c)
			}
		})
	}

	d.site.times(t, 0)
}

// TestADocumentIsReadAgainOnceItIsOld asks the site no more often than it says, within limits.
func TestADocumentIsReadAgainOnceItIsOld(t *testing.T) {
	d := newDocumented(t, valid)

	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			if err := d.read(t); err != nil {
				t.Errorf("ReadDocument: %v, want no error", err)
			}
		})
	}
	wait.Wait()
	d.site.times(t, 1)

	// The site has moved its pages: the addresses that it does not name any more end.
	d.site.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = fmt.Fprintf(w, `{"client_id": %q, "redirect_uris": ["%s/new"]}`, d.name, d.site.URL)
	})
	d.later.Add(int64(5 * time.Minute))
	must(t, d.read(t))
	d.site.times(t, 2)
	if got := d.find(t, d.name).OpenID.RedirectURIs; !slices.Equal(got, []string{d.site.URL + "/new"}) {
		t.Errorf("redirect_uris = %q, want the new one alone", got)
	}

	d.later.Add(int64(time.Hour - time.Second))
	must(t, d.read(t))
	d.site.times(t, 2)

	// What is old does not count, and the site is left alone for a while.
	d.site.set(broken)
	d.later.Add(int64(time.Second))
	for range 3 {
		wants(t, "an old document", d.read(t), jeton.ErrUnavailable)
	}
	d.site.times(t, 3)
}

// TestASiteThatNeverEndsItsDocumentIsGivenUp gets half of one.
func TestASiteThatNeverEndsItsDocumentIsGivenUp(t *testing.T) {
	d := newDocumented(t, valid)
	d.SetTimeout(100 * time.Millisecond)
	d.site.set(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(valid(d.name))[:20])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})

	err := d.read(t)
	if client.ReasonOf(err) != client.DocumentUnread {
		t.Errorf("ReadDocument: %v (%s), want %s", err, client.ReasonOf(err), client.DocumentUnread)
	}
}

// TestACallerWhoGivesUpStopsNoRequest starts one and leaves.
func TestACallerWhoGivesUpStopsNoRequest(t *testing.T) {
	d := newDocumented(t, valid)
	ctx, cancel := context.WithCancel(t.Context())
	d.site.set(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(valid(d.name)))
	})

	must(t, d.ReadDocument(ctx, d.name))
	must(t, d.read(t))
	d.site.times(t, 1)
}

// TestClientsOfAHostThatIsRemovedEnd changes the configuration.
func TestClientsOfAHostThatIsRemovedEnd(t *testing.T) {
	d := newDocumented(t, valid)
	must(t, d.read(t))

	less := d.host
	less.Services, less.Allow = nil, &jeton.AllowedUsers{Groups: []string{"staff"}}
	must(t, d.SetDocuments(t.Context(), []client.DocumentHost{less}))
	c := d.find(t, d.name)
	if len(c.Services) > 0 || c.OpenID.Allow == nil || !slices.Equal(c.OpenID.Allow.Groups, []string{"staff"}) {
		t.Errorf("the client is %+v, want the new terms of its host", c)
	}

	must(t, d.SetDocuments(t.Context(), nil))
	if c := d.find(t, d.name); c.ID != 0 {
		t.Errorf("the client is %+v, want none", c)
	}
}

// TestAnAddressThatIsLookedAtIsNotKept invents addresses, for which no request is made.
func TestAnAddressThatIsLookedAtIsNotKept(t *testing.T) {
	d := newDocumented(t, valid)
	for i := range 3 {
		required, err := d.MustRead(t.Context(), fmt.Sprintf("%s/%d", d.name, i))
		if !required || err != nil {
			t.Fatalf("MustRead = %v, %v, want true", required, err)
		}
	}
	if n := d.KnownDocuments(); n != 0 {
		t.Errorf("%d documents are known, want none of those that were not read", n)
	}
}

// TestADocumentThatIsBeingReadIsNotForgotten adds many others meanwhile.
func TestADocumentThatIsBeingReadIsNotForgotten(t *testing.T) {
	d := newDocumented(t, valid)
	d.site.set(func(w http.ResponseWriter, _ *http.Request) {
		d.KnowOthers()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(valid(d.name)))
	})

	must(t, d.read(t))
	must(t, d.read(t))
	d.site.times(t, 1)
	if n := d.KnownDocuments(); n != 1000 {
		t.Errorf("%d documents are known, want 1000", n)
	}
}

// TestTermsThatChangeDuringARequestCount reloads the configuration while a document is being fetched.
func TestTermsThatChangeDuringARequestCount(t *testing.T) {
	d := newDocumented(t, valid)
	during := func(hosts ...client.DocumentHost) {
		d.site.set(func(w http.ResponseWriter, _ *http.Request) {
			if err := d.SetDocuments(context.Background(), hosts); err != nil {
				t.Errorf("SetDocuments: %v, want no error", err)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(valid(d.name)))
		})
	}

	less := d.host
	less.Services, less.Allow = nil, &jeton.AllowedUsers{Groups: []string{"staff"}}
	during(less)
	must(t, d.read(t))
	c := d.find(t, d.name)
	if c.OpenID == nil || len(c.Services) > 0 || c.OpenID.Allow == nil {
		t.Errorf("the client is %+v, want the new terms of its host", c)
	}

	during()
	d.later.Add(int64(time.Hour))
	must(t, d.read(t))
	if c := d.find(t, d.name); c.ID != 0 {
		t.Errorf("the client is %+v, want none", c)
	}
}

// addDescribed adds a client of the host to the store, with one address.
func (d *documented) addDescribed(t *testing.T, path, redirect string) string {
	t.Helper()
	c := client.Client{
		Name:    d.site.URL + path,
		Folded:  d.site.URL + path,
		Created: noon,
		Updated: noon,
		OpenID:  &jeton.RelyingParty{RedirectURIs: []string{redirect}, Public: true},
	}
	must(t, d.db.AddClient(t.Context(), c, jeton.Event{Time: noon, Action: "client.document"}))

	return c.Name
}

// TestAllClientsOfAHostThatIsRemovedEnd has more than are read from the store at once.
func TestAllClientsOfAHostThatIsRemovedEnd(t *testing.T) {
	d := newDocumented(t, valid)
	for i := range 101 {
		d.addDescribed(t, fmt.Sprintf("/%03d", i), "http://127.0.0.1/done")
	}

	must(t, d.SetDocuments(t.Context(), nil))
	list, _, err := d.List(t.Context(), client.Page{Limit: 200})
	must(t, err)
	if len(list) != 0 {
		t.Errorf("%d clients are left, want none", len(list))
	}
}

// TestAClientThatIsNotValidAnyMoreIsRemoved has an address that an older version has accepted.
func TestAClientThatIsNotValidAnyMoreIsRemoved(t *testing.T) {
	d := newDocumented(t, valid)
	bad := d.addDescribed(t, "/bad", "javascript:alert(1)")
	good := d.addDescribed(t, "/good", "http://127.0.0.1/done")

	must(t, d.SetDocuments(t.Context(), []client.DocumentHost{d.host}))
	if c := d.find(t, bad); c.ID != 0 {
		t.Errorf("the client is %+v, want none", c)
	}
	if c := d.find(t, good); !slices.Equal(c.Services, d.host.Services) {
		t.Errorf("services %q of the other, want those of the host", c.Services)
	}
}
