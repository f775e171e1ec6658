package browser

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// The sizes of the viewport: a desk, and the narrowest that WCAG 2.2 (1.4.10) names.
const (
	deskWidth, deskHeight     = 1280, 800
	narrowWidth, narrowHeight = 320, 640
)

// overflows returns the elements that are wider than the viewport, if the page scrolls to the side.
const overflows = `(() => {
	const width = document.documentElement.clientWidth
	if (document.documentElement.scrollWidth <= width) return []
	return [...document.body.querySelectorAll('*')]
		.filter((e) => e.getBoundingClientRect().right > width + 1)
		.map((e) => e.outerHTML.slice(0, 120)).slice(0, 5)
})()`

// covered returns the elements that something covers when they have the focus (WCAG 2.2, 2.4.11).
const covered = `[...document.querySelectorAll('a[href], button, input, select, textarea, summary')].filter((e) => {
	if (!e.checkVisibility({visibilityProperty: true}) || e.disabled) return false
	e.focus()
	e.scrollIntoView({block: 'nearest', inline: 'nearest', behavior: 'instant'}) // not by and by
	const r = e.getClientRects()[0]
	const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)
	const ours = (one) => one && (one.contains(top) || top?.contains(one))
	return !ours(e) && ![...(e.labels ?? [])].some(ours)
}).map((e) => e.outerHTML.slice(0, 120))`

// pasteless returns the names of the fields that prevent pasting.
const pasteless = `[...document.querySelectorAll('input, textarea')].filter((e) => {
	const event = new ClipboardEvent('paste', {bubbles: true, cancelable: true})
	e.dispatchEvent(event)
	return event.defaultPrevented
}).map((e) => e.name)`

// tokenless returns the password fields that a password manager does not recognize.
const tokenless = `[...document.querySelectorAll('input[type=password]')].filter((e) =>
	!/(^| )(current|new)-password( |$)/.test(e.autocomplete)).map((e) => e.name)`

// kindOf returns a path with "one" in place of what names one of many.
func kindOf(path string) string {
	if fixed.MatchString(path) {
		return path
	}

	return variable.ReplaceAllString(path, "$1/one")
}

// inspect judges the page that a tab of Chromium shows, in all its looks, and keeps screenshots.
func (w *world) inspect(p *Page, name string) {
	p.t.Helper()
	fault := func(what string, found []string) {
		for _, line := range found {
			p.t.Errorf("%s (%s): %s: %s", name, p.URL(), what, line)
		}
	}

	// Of all rules the scheme changes those about colours. 'make soak' asks both schemes for all.
	judges := map[string]func() []string{"light": p.Accessibility, "dark": p.Contrast}
	if need.Soaking() {
		judges["dark"] = p.Accessibility
	}

	for _, scheme := range []string{"light", "dark"} {
		p.Colors(scheme)
		fault("axe, "+scheme, judges[scheme]())
		p.Picture(name + "-" + scheme)
	}

	fault("html-validate", Markup(p.t, p.HTML()))
	fault("prevents pasting", Value[[]string](p, pasteless))
	fault("has no token for password managers", Value[[]string](p, tokenless))

	p.Colors("light")
	p.Resize(narrowWidth, narrowHeight)
	fault("does not fit into 320 pixels", Value[[]string](p, overflows))
	fault("is covered when it has the focus", Value[[]string](p, covered))
	p.Picture(name + "-narrow")
	p.Resize(deskWidth, deskHeight)
}

// contrast judges the colours of a page in the scheme that a browser has by itself: Firefox shows dark ones.
func (w *world) contrast(p *Page) {
	p.t.Helper()
	dark := Value[bool](p, "matchMedia('(prefers-color-scheme: dark)').matches")
	if want := p.browser == "firefox"; dark != want {
		p.t.Errorf("%s: dark colours = %t, want %t", p.browser, dark, want)
	}

	for _, line := range p.Contrast() {
		p.t.Errorf("%s (%s): axe: %s", p.URL(), p.browser, line)
	}
}

// inspectGerman judges whether the longer words of German fit into a narrow page, which stays German.
func (w *world) inspectGerman(p *Page, path, name string) {
	p.t.Helper()
	p.Resize(narrowWidth, narrowHeight)
	p.Open(w.issuer + path + "?lang=de")

	if lang := Value[string](p, "document.documentElement.lang"); lang != "de" {
		p.t.Errorf("%s?lang=de is in %s, want de", path, lang)
	}
	for _, line := range Value[[]string](p, overflows) {
		p.t.Errorf("%s does not fit into 320 pixels in German: %s", path, line)
	}

	p.Picture(name + "-german")
	p.Resize(deskWidth, deskHeight)
}

// variable is a part of a path that names one of many: a user, a session, a client.
var variable = regexp.MustCompile(`^(/(?:account|admin)/[a-z-]+)/[^/]+`)

// fixed are last parts of a path that name a page of its own.
var fixed = regexp.MustCompile(`/(new|all)$`)

// walk follows the links from a page to all others of the same kind and inspects each. Of pages that
// differ in a name it inspects one. It returns the paths.
func (w *world) walk(p *Page, name, start string) []string {
	p.t.Helper()
	queue := []string{start}
	seen := map[string]bool{start: true}
	var paths []string

	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]

		page := name + strings.ReplaceAll(kindOf(next), "/", "-")
		w.inspectGerman(p, next, page)
		p.Open(w.issuer + next + "?lang=en")
		if status := p.Status(); status != 200 {
			p.t.Errorf("%s = %d, want 200", next, status)
		}
		w.inspect(p, page)
		paths = append(paths, next)

		for _, link := range Value[[]string](p, "[...document.links].map((a) => a.href)") {
			u, err := url.Parse(link)
			if err != nil || u.Scheme+"://"+u.Host != w.issuer {
				continue
			}

			kind := kindOf(u.Path)
			if strings.HasPrefix(u.Path, start) && !seen[kind] {
				seen[kind] = true
				queue = append(queue, u.Path)
			}
		}
	}

	return paths
}

// The pages that are reached by links from the first one.
var (
	accountPages = []string{
		"/account",
		"/account/activity",
		"/account/jobs",
		"/account/requests",
		"/account/security",
		"/account/sessions",
		"/account/tokens",
	}
	adminPages = []string{
		"/admin",
		"/admin/audit",
		"/admin/clients",
		"/admin/clients/robot/claims",
		"/admin/explain",
		"/admin/keys",
		"/admin/services",
		"/admin/sessions",
		"/admin/tokens",
		"/admin/users",
	}
)

func TestEveryPageOfAnAccount(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)
	w.account(p, "diane")

	w.reaches(t, w.walk(p, "empty", "/account"), accountPages)
	w.clean(p)
}

// ask makes a request for a token with one of diane, and returns its id.
func (w *world) ask(t *testing.T, token string) string {
	t.Helper()
	a := w.Send(
		w.Client(), http.MethodPost, w.shop+"/.jeton/token/requests",
		`{"name":"weekly report","reason":"You asked me to write it.","allows":["GET /orders/*"],`+
			`"max_uses":20,"expires_in":3600}`,
		"Authorization", "Bearer "+token, "Content-Type", "application/json",
	)
	var asked jeton.TokenRequested
	if err := json.Unmarshal([]byte(a.Body), &asked); err != nil || a.Status != http.StatusCreated {
		t.Fatalf("request for a token = %d %s, want 201", a.Status, a.Body)
	}

	return asked.ID
}

// lease makes a token for a job, with a personal token of diane.
func (w *world) lease(t *testing.T) {
	t.Helper()
	maker := w.AddToken(jetontest.NewToken{User: "diane", Name: "scheduler", Services: []string{"shop"}})
	a := w.Send(
		w.Client(), http.MethodPost, w.shop+"/.jeton/leases",
		`{"name":"nightly.sh","lease_seconds":600,"allows":["GET /orders/*"],"max_uses":20}`,
		"Authorization", "Bearer "+maker.Secret, "Content-Type", "application/json",
	)
	if a.Status != http.StatusCreated {
		t.Fatalf("token for a job = %d %s, want 201", a.Status, a.Body)
	}
}

func TestPagesOfAnAccountWithATokenAndWithAnError(t *testing.T) {
	w := newWorld(t)
	made := w.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "laptop",
		Services: []string{"shop"},
		MaxUses:  9,
	})
	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)
	p.Open(w.shop + "/orders/7")
	w.signIn(p, "diane")
	p.Arrive(w.shop + "/orders/7")

	request := w.ask(t, made.Secret)
	w.lease(t)
	for _, page := range []string{
		"", "/sessions", "/tokens", "/tokens/" + made.Accessor, "/jobs", "/requests", "/requests/" + request,
	} {
		p.Open(w.issuer + "/account" + page)
		w.inspect(p, "full"+strings.ReplaceAll(kindOf("/account"+page), "/", "-"))
	}

	p.Open(w.issuer + "/account/tokens/new")
	if p.Has("input[name=service]:checked") {
		p.Click("input[name=service]:checked")
	}
	p.Fill("#name", "laptop")
	p.Click("main form .actions button")
	// Every page has a hidden alert, of a session that ends.
	p.Wait("document.querySelector('[role=alert]:not([hidden]), .error') && document.readyState === 'complete'")
	w.inspect(p, "wrong-token-new")
	w.clean(p)
}

// TestPagesOfAnApplicationOfAnotherOrganisation signs in there, and at a device.
func TestPagesOfAnApplicationOfAnotherOrganisation(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)
	w.account(p, "diane")

	done := w.shop + "/open/done"
	var made struct{ Secret string }
	w.MustControl(http.MethodPost, "/api/v1/clients", api.NewClient{
		Name:   "stranger",
		Secret: true,
		OpenID: &jeton.RelyingParty{
			RedirectURIs: []string{done},
			AskConsent:   true,
			DeviceGrant:  true,
		},
	}, &made)
	asks := url.Values{
		"client_id":             {"stranger"},
		"redirect_uri":          {done},
		"response_type":         {"code"},
		"scope":                 {"openid profile email groups"},
		"code_challenge":        {strings.Repeat("A", 43)},
		"code_challenge_method": {"S256"},
	}
	p.Open(w.issuer + "/oauth2/authorize?" + asks.Encode())
	w.inspect(p, "consent")
	p.Click("main form button[value=allow]")
	p.Wait("location.pathname === '/open/done' && document.readyState === 'complete'")

	p.Open(w.issuer + "/account/applications")
	w.inspect(p, "full-account-applications")
	p.Open(w.issuer + "/device")
	w.inspect(p, "device")
	p.Fill("input[name=user_code]", w.deviceCode(t, "stranger", made.Secret))
	p.Press("Enter")
	p.Wait("document.querySelector('button[value=allow]') && document.readyState === 'complete'")
	w.inspect(p, "device-answer")
	w.clean(p)
}

// deviceCode begins a sign-in at a device, and returns the code that the user types in.
func (w *world) deviceCode(t *testing.T, client, secret string) string {
	t.Helper()
	form := url.Values{"client_id": {client}, "client_secret": {secret}, "scope": {"openid profile"}}
	a := w.Send(
		w.Client(), http.MethodPost, w.issuer+"/oauth2/device_authorization", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded",
	)

	var begun struct {
		Code string `json:"user_code"`
	}
	err := json.Unmarshal([]byte(a.Body), &begun)
	if err != nil || begun.Code == "" {
		t.Fatalf("device authorization: got %d %s, want a user_code", a.Status, a.Body)
	}

	return begun.Code
}

func TestEveryPageOfAnAdministrator(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)
	w.account(p, "root")
	// The page of the one client that the walk inspects has all parts.
	w.MustControl(http.MethodPost, "/api/v1/clients", api.NewClient{
		Name:     "robot",
		Services: []string{"shop"},
		Secret:   true,
		OpenID: &jeton.RelyingParty{
			RedirectURIs: []string{"https://robot.example/return"},
			SubjectType:  "pairwise",
		},
	}, nil)
	w.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "laptop",
		Services: []string{"shop"},
		MaxUses:  9,
	})

	w.reaches(t, w.walk(p, "admin", "/admin"), adminPages)

	p.Open(w.issuer + "/admin/clients/robot/claims?user=diane&scope=profile&scope=groups")
	w.inspect(p, "full-admin-clients-claims")
	w.clean(p)
}

func (w *world) reaches(t *testing.T, got, want []string) {
	t.Helper()
	for _, path := range want {
		if !slices.Contains(got, path) {
			t.Errorf("the links lead to %q, want %s among them", got, path)
		}
	}
}

func TestEveryPageBeforeAnAccount(t *testing.T) {
	w := newWorld(t)
	w.MustControl(http.MethodPut, "/api/v1/users/diane", map[string]string{"email": "diane@example.org"}, nil)
	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)

	p.Open(w.shop + "/orders/7")
	p.Wait("location.pathname === '/sign-in' && document.readyState === 'complete'")
	w.inspect(p, "sign-in")

	p.Fill("input[name=username]", "diane")
	p.Fill("input[name=password]", "wrong")
	p.Press("Enter")
	p.Wait("document.querySelector('[role=alert]:not([hidden])')")
	w.inspect(p, "sign-in-wrong")

	w.signIn(p, "diane")
	p.Arrive(w.shop + "/orders/7")

	p.Open(w.issuer + "/prove?to=%2Faccount%2Fsecurity")
	w.inspect(p, "prove")
	p.Open(w.issuer + "/sign-in")
	w.inspect(p, "sign-in-choice")
	p.Open(w.issuer + "/sign-out")
	w.inspect(p, "sign-out")
	p.Click("main form button")
	p.Reach(w.issuer + "/signed-out")
	w.inspect(p, "signed-out")

	var link struct{ URL string }
	w.MustControl(http.MethodPost, "/api/v1/users/diane/sign-in-link", nil, &link)
	p.Open(w.issuer + strings.TrimPrefix(link.URL, w.issuer))
	w.inspect(p, "link")

	p.Open(w.issuer + "/recover")
	w.inspect(p, "recover-ask")
	p.Fill("input[name=username]", "unknown@example.org")
	p.Press("Enter")
	p.Wait("document.querySelector('.note.good') && document.readyState === 'complete'")
	w.inspect(p, "recover-asked")
	w.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	p.Open(w.issuer + strings.TrimPrefix(link.URL, w.issuer))
	w.inspect(p, "recover")

	w.MustControl(http.MethodPost, "/api/v1/invitations", map[string]any{}, &link)
	p.Open(w.issuer + strings.TrimPrefix(link.URL, w.issuer))
	w.inspect(p, "invite")

	p.Open(w.issuer + w.noticeLink(t))
	w.inspect(p, "not-me")
	p.Click("main form button")
	p.Arrive(w.issuer + "/not-me?done=ended")
	w.inspect(p, "not-me-done")

	p.Open(w.issuer + "/no-such-page")
	w.inspect(p, "not-found")
	p.Open(w.issuer + "/oauth2/authorize?client_id=unknown")
	w.inspect(p, "wrong-client")
	w.clean(p)
}
