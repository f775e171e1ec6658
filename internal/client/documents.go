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
	// documentsListed is how many of them are read from the store at once.
	documentsListed = 100
	// documentsAtOnce limits the requests for documents that are in progress.
	documentsAtOnce = 8
)

// documents is what is known of the clients that documents describe (draft-ietf-oauth-client-id-metadata-document).
// What a document says is in the store, as with any client; here is how long it counts.
type documents struct {
	timeout time.Duration
	slots   chan struct{} // one for each request in progress

	// described is held while a client gets what its document and its host say, and to set other hosts: SetDocuments
	// then sees each client that has got the terms of the hosts before.
	described sync.RWMutex

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
	busy  chan struct{} // held by the one request for it that is in progress
	calls int           // of ReadDocument that are in progress, under the lock of documents

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

// hold returns the state of a document for one call of ReadDocument, a new one if there is none. The call ends with
// release.
func (d *documents) hold(name string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()

	one, ok := d.known[name]
	if !ok {
		d.makeRoom()
		one = &document{busy: make(chan struct{}, 1)}
		d.known[name] = one
	}
	one.calls++

	return one
}

// makeRoom forgets documents for a new one, of which none is being read: two requests for it would be in progress.
// Callers can invent addresses. To forget one costs a request at most.
func (d *documents) makeRoom() {
	for name, other := range d.known {
		if len(d.known) < maxDocuments {
			return
		}
		if other.calls == 0 {
			delete(d.known, name)
		}
	}
}

// release ends what hold began.
func (d *documents) release(one *document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one.calls--
}

// look is look of the document of a name. One of which nothing is known is not fresh, and stays unknown.
func (d *documents) look(name string, now time.Time) (fresh bool, err error) {
	d.mu.Lock()
	one, ok := d.known[name]
	d.mu.Unlock()
	if !ok {
		return false, nil
	}

	return one.look(now)
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

	fresh, err := cs.documents.look(name, cs.now())

	return !fresh || c.ID == 0, err
}

// ReadDocument fetches the document of a client and stores what it says. It returns jeton.ErrUnavailable or
// jeton.ErrInvalid, with a reason for ReasonOf, and jeton.ErrBusy.
func (cs *Clients) ReadDocument(ctx context.Context, name string) error {
	host, ok := cs.documents.host(name)
	if !ok {
		return nil
	}

	d := cs.documents.hold(name)
	defer cs.documents.release(d)
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
		err = cs.describe(ctx, name, party)
	}
	if err == nil || ReasonOf(err) != "" {
		d.note(now, age, err)
	}

	return err
}

// describe stores what a document says of its client, with the terms that its host has now. It stores nothing if the
// host is not allowed any more.
func (cs *Clients) describe(ctx context.Context, name string, party *jeton.RelyingParty) error {
	cs.documents.described.RLock()
	defer cs.documents.described.RUnlock()
	host, ok := cs.documents.host(name)
	if !ok {
		return nil
	}

	party, err := host.allow(*party)
	if err != nil {
		return err
	}

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

	ev := cs.event("client:"+name, audit.ClientDocument, name, c.describe())
	err := cs.store.AddDescribedClient(ctx, c, roomForDocument, ev)
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

// roomForDocument refuses to add a client to as many as there may be.
func roomForDocument(kept int) error {
	if kept >= maxDocuments {
		return refuseDocument(TooManyDocuments, "")
	}
	return nil
}

// listDescribed returns the clients that documents describe.
func (cs *Clients) listDescribed(ctx context.Context) ([]Client, error) {
	var all []Client
	page := Page{Prefix: naming.DocumentPrefix, Limit: documentsListed}
	for {
		list, err := cs.store.ListClients(ctx, page)
		if err != nil {
			return nil, fmt.Errorf("list clients: %w", err)
		}

		all = append(all, list...)
		if len(list) < page.Limit {
			return all, nil
		}
		page.After = list[len(list)-1].Folded
	}
}

// SetDocuments sets the hosts whose documents are accepted, with lists as Services and Scopes prepare them. Clients of
// other hosts are removed, which ends their tokens; the others get the terms of their host. One that cannot have them
// is removed, too: its next document describes it again.
func (cs *Clients) SetDocuments(ctx context.Context, hosts []DocumentHost) error {
	cs.documents.setHosts(hosts)

	list, err := cs.listDescribed(ctx)
	if err != nil {
		return err
	}

	for _, c := range list {
		if err := cs.settle(ctx, c); err != nil {
			return fmt.Errorf("client %s: %w", c.Name, err)
		}
	}

	return nil
}

// setHosts waits until no client is being described.
func (d *documents) setHosts(hosts []DocumentHost) {
	d.described.Lock()
	defer d.described.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts = hosts
}

// settle gives the client of a document the terms of its host, or removes it.
func (cs *Clients) settle(ctx context.Context, c Client) error {
	host, ok := cs.documents.host(c.Name)
	why := "its host is not allowed any more"
	if ok {
		err := cs.allowDescribed(ctx, host, c)
		if !errors.Is(err, jeton.ErrInvalid) {
			return unlessGone(err)
		}

		cs.log.Warn(
			"remove the client of a document, which cannot have the terms of its host",
			"client", c.Name, "error", err,
		)
		why = "its addresses are not allowed any more"
	}

	step := cs.step("config", audit.ClientRemove, c.Name, why+", all tokens ended")

	return unlessGone(cs.store.RemoveClient(ctx, c.Name, step))
}

// unlessGone returns the error unless it is that another node has removed the client.
func unlessGone(err error) error {
	if errors.Is(err, jeton.ErrNotFound) {
		return nil
	}
	return err
}

// allowDescribed gives the client of a document the terms of its host.
func (cs *Clients) allowDescribed(ctx context.Context, host DocumentHost, c Client) error {
	if c.OpenID == nil {
		return nil
	}

	party, err := host.allow(*c.OpenID)
	if err != nil {
		return err
	}

	return cs.changeDescribed(ctx, host, c, party)
}

// allow returns what a document says, with the users who may sign in.
func (h DocumentHost) allow(party jeton.RelyingParty) (*jeton.RelyingParty, error) {
	party.Allow = h.Allow
	return CheckRelying(&party)
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
