package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/outbound"
)

// DocumentHost is a host whose documents describe clients, and what such a client may have. Nothing of that is the
// document's word.
type DocumentHost struct {
	Host     string // with the port if the address has one
	Services []string
	Scopes   []string
	Allow    *jeton.AllowedUsers // users who may sign in; nil: all
	Target   outbound.Target
}

const (
	documentTimeout = 3 * time.Second // for a whole request
	maxDocumentSize = 5 << 10         // bytes; the draft recommends 5 kilobytes
	// maxDocuments limits the clients that documents describe: strangers add them.
	maxDocuments = 1000
	// documentsAtOnce limits the requests for documents that are in progress.
	documentsAtOnce = 8
)

// documents is what is known of the clients that documents describe (draft-ietf-oauth-client-id-metadata-document).
// What a document says is in the store, as with any client; here is how long it counts.
type documents struct {
	timeout time.Duration
	slots   chan struct{} // one for each request in progress

	mu    sync.Mutex
	hosts []DocumentHost
	known map[string]*document // by address
}

func newDocuments() *documents {
	return &documents{
		timeout: documentTimeout,
		slots:   make(chan struct{}, documentsAtOnce),
		known:   map[string]*document{},
	}
}

// document is how long the last response of an address counts.
type document struct {
	busy chan struct{} // held by the one request for it that is in progress

	mu     sync.Mutex
	until  time.Time // the document is fresh
	pause  time.Time // no request is made before, because the last one has failed
	failed error     // of that one
}

// Described reports whether a document at the address that is its name describes the client.
func (c Client) Described() bool { return described(c.Name) }

func described(name string) bool { return strings.HasPrefix(name, naming.DocumentPrefix) }

// errDescribed refuses to change what the next look into the document would change back.
var errDescribed = jeton.WithDetail(
	jeton.ErrInvalid,
	"the document of the client has its addresses, and issuer.client_documents its terms: change them there",
)

// host returns the host of a document, or false if its documents are not accepted.
func (d *documents) host(name string) (DocumentHost, bool) {
	host, err := naming.Document(name)
	if err != nil {
		return DocumentHost{}, false
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.hosts, func(h DocumentHost) bool { return h.Host == host })
	if i < 0 {
		return DocumentHost{}, false
	}

	return d.hosts[i], true
}

// of returns the state of a document, a new one if there is none.
func (d *documents) of(name string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()

	one, ok := d.known[name]
	if ok {
		return one
	}
	// Callers can invent addresses. To forget one costs a request at most.
	for other := range d.known {
		if len(d.known) < maxDocuments {
			break
		}
		delete(d.known, other)
	}

	one = &document{busy: make(chan struct{}, 1)}
	d.known[name] = one

	return one
}

// look reports whether the document is fresh, or returns why the last request has failed, for a short time.
func (d *document) look(now time.Time) (fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Before(d.pause) {
		return false, d.failed
	}

	return now.Before(d.until), nil
}

// note keeps the result of a request.
func (d *document) note(now time.Time, age time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.pause, d.failed = now.Add(retryAfter), err
		return
	}
	d.until = now.Add(age)
}

// MustRead reports whether ReadDocument has to be called before a user signs in at the client of a name: its host is
// allowed, and its document is not known or not fresh. It returns the error of a request that has failed a moment ago.
func (cs *Clients) MustRead(ctx context.Context, name string) (bool, error) {
	if _, ok := cs.documents.host(name); !ok {
		return false, nil
	}

	c, err := cs.FindForLogin(ctx, name)
	if err != nil || c.Disabled {
		return false, err
	}

	fresh, err := cs.documents.of(name).look(cs.now())

	return !fresh || c.ID == 0, err
}

// ReadDocument fetches the document of a client and stores what it says. It returns jeton.ErrUnavailable or
// jeton.ErrInvalid, with a reason for ReasonOf, and jeton.ErrBusy.
func (cs *Clients) ReadDocument(ctx context.Context, name string) error {
	host, ok := cs.documents.host(name)
	if !ok {
		return nil
	}

	d := cs.documents.of(name)
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	case <-ctx.Done():
		return fmt.Errorf("%w: wait for the document: %w", jeton.ErrUnavailable, ctx.Err())
	}

	// Another request has read it meanwhile.
	must, err := cs.MustRead(ctx, name)
	if err != nil || !must {
		return err
	}

	select {
	case cs.documents.slots <- struct{}{}:
		defer func() { <-cs.documents.slots }()
	default:
		return jeton.WithDetail(jeton.ErrBusy, "too many documents of clients are being fetched; try again")
	}

	// A caller who gives up must not make others wait for the end of the pause.
	ctx = context.WithoutCancel(ctx)

	now := cs.now()
	party, age, err := host.fetch(ctx, name, cs.documents.timeout)
	if err == nil {
		err = cs.describe(ctx, host, name, party)
	}
	if err == nil || ReasonOf(err) != "" {
		d.note(now, age, err)
	}

	return err
}

// describe stores what a document says of its client.
func (cs *Clients) describe(ctx context.Context, host DocumentHost, name string, party *jeton.RelyingParty) error {
	c, err := cs.store.FindClient(ctx, name)
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return cs.addDescribed(ctx, host, name, party)
	case err != nil:
		return fmt.Errorf("find client: %w", err)
	}

	return cs.changeDescribed(ctx, host, c, party)
}

// addDescribed adds the client of a document.
func (cs *Clients) addDescribed(ctx context.Context, host DocumentHost, name string, party *jeton.RelyingParty) error {
	list, err := cs.listDescribed(ctx)
	if err != nil {
		return err
	}
	if len(list) >= maxDocuments {
		return refuseDocument(TooManyDocuments, "")
	}

	now := cs.now()
	c := Client{
		Name:     name,
		Folded:   name, // the case of a path counts
		Version:  1,
		Services: host.Services,
		Scopes:   host.Scopes,
		OpenID:   party,
		Created:  now,
		Updated:  now,
	}

	err = cs.store.AddClient(ctx, c, cs.event("client:"+name, audit.ClientDocument, name, c.describe()))
	if err != nil && !errors.Is(err, jeton.ErrConflict) { // another node has added it
		return fmt.Errorf("add client %s: %w", name, err)
	}

	return nil
}

// changeDescribed makes a client what its document and its host say, unless it is that.
func (cs *Clients) changeDescribed(ctx context.Context, host DocumentHost, c Client, party *jeton.RelyingParty) error {
	same := slices.Equal(c.Services, host.Services) && slices.Equal(c.Scopes, host.Scopes)
	if same && reflect.DeepEqual(c.OpenID, party) {
		return nil
	}

	change := Change{
		Services: &host.Services,
		Scopes:   &host.Scopes,
		OpenID: &SetRelying{Edit: func(*jeton.RelyingParty) (*jeton.RelyingParty, error) {
			return party, nil
		}},
	}
	c.Services, c.Scopes = host.Services, host.Scopes
	c.OpenID = party

	return cs.change(ctx, c.Name, change, cs.step("client:"+c.Name, audit.ClientDocument, c.Name, c.describe()))
}

// listDescribed returns the clients that documents describe.
func (cs *Clients) listDescribed(ctx context.Context) ([]Client, error) {
	list, err := cs.store.ListClients(ctx, Page{Prefix: naming.DocumentPrefix, Limit: maxDocuments})
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}

	return list, nil
}

// SetDocuments sets the hosts whose documents are accepted, with lists as Services and Scopes prepare them. Clients of
// other hosts are removed, which ends their tokens; the others get the terms of their host.
func (cs *Clients) SetDocuments(ctx context.Context, hosts []DocumentHost) error {
	cs.documents.mu.Lock()
	cs.documents.hosts = hosts
	cs.documents.mu.Unlock()

	list, err := cs.listDescribed(ctx)
	if err != nil {
		return err
	}

	for _, c := range list {
		host, ok := cs.documents.host(c.Name)
		if ok && c.OpenID != nil {
			err = cs.allowDescribed(ctx, host, c)
		} else if !ok {
			step := cs.step("config", audit.ClientRemove, c.Name, "its host is not allowed any more, all tokens ended")
			err = cs.store.RemoveClient(ctx, c.Name, step)
		}
		if err != nil && !errors.Is(err, jeton.ErrNotFound) { // another node has removed it
			return fmt.Errorf("client %s: %w", c.Name, err)
		}
	}

	return nil
}

// allowDescribed gives the client of a document the terms of its host.
func (cs *Clients) allowDescribed(ctx context.Context, host DocumentHost, c Client) error {
	party := *c.OpenID
	party.Allow = host.Allow
	checked, err := CheckRelying(&party)
	if err != nil {
		return err
	}

	return cs.changeDescribed(ctx, host, c, checked)
}

// party returns what a document says, for a client of a name.
func (h DocumentHost) party(name string, body []byte) (*jeton.RelyingParty, error) {
	var said struct {
		ClientID      string          `json:"client_id"`
		Redirects     []string        `json:"redirect_uris"`
		PostLogouts   []string        `json:"post_logout_redirect_uris"`
		Method        string          `json:"token_endpoint_auth_method"`
		GrantTypes    []string        `json:"grant_types"`
		ResponseTypes []string        `json:"response_types"`
		Secret        json.RawMessage `json:"client_secret"`
		SecretExpires json.RawMessage `json:"client_secret_expires_at"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, refuseDocument(DocumentNotJSON, err.Error())
	}

	lacks := func(list []string, want string) bool { return len(list) > 0 && !slices.Contains(list, want) }
	switch {
	case said.ClientID != name:
		return nil, refuseDocument(DocumentOfOther, said.ClientID)
	case said.Secret != nil || said.SecretExpires != nil:
		return nil, refuseDocument(DocumentSecret, "")
	case said.Method != "" && said.Method != "none":
		return nil, refuseDocument(DocumentMethod, said.Method)
	case lacks(said.GrantTypes, "authorization_code") || lacks(said.ResponseTypes, "code"):
		return nil, refuseDocument(DocumentGrant, "")
	}

	party, err := CheckRelying(&jeton.RelyingParty{
		RedirectURIs:           h.own(said.Redirects),
		PostLogoutRedirectURIs: h.own(said.PostLogouts),
		Public:                 true,
		AskConsent:             true,
		Allow:                  h.Allow,
	})
	if err != nil {
		return nil, refuseDocument(DocumentAddresses, jeton.Detail(err))
	}

	return party, nil
}

// own returns the addresses that a document of the host may name: those of the same origin, so that no document takes
// users of one site to another, and those of a program on the user's machine (draft, section 6.1; RFC 8252, section
// 7.3). Others are left out.
func (h DocumentHost) own(addresses []string) []string {
	var list []string
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || naming.RedirectURI(address) != nil {
			continue
		}
		if u.Scheme == "https" && u.Host == h.Host || u.Scheme == "http" && outbound.Loopback(u.Hostname()) {
			list = append(list, address)
		}
	}

	return list
}
