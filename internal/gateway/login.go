package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxForm bounds the body of a login, in bytes.
const maxForm = 16 << 10

// describe answers GET /.well-known/jeton: what a wallet needs to know to log in.
func (g *Gateway) describe(w *web.Reply, _ *http.Request) error {
	d := map[string]string{
		"service":        g.conf.Name,
		"logout":         g.conf.Logout,
		"username_field": g.conf.Login.UsernameField,
		"password_field": g.conf.Login.PasswordField,
	}
	if len(g.conf.Login.Paths) > 0 {
		d["login"] = g.conf.Login.Paths[0]
	}
	if g.conf.Tokens != nil {
		d["issuer"], d["audience"] = g.issuer, g.conf.Tokens.Audience
	}

	return web.JSON(w, http.StatusOK, d)
}

// login answers POST on a login path: a name and a password become a session.
func (g *Gateway) login(w *web.Reply, r *http.Request) error {
	if err := g.sameOrigin(r); err != nil {
		return err
	}

	name, pw, err := g.credentials(w, r)
	if err != nil {
		return err
	}

	old, err := g.previous(w, r)
	if err != nil {
		return err
	}

	started, who, err := g.logins.Password(r.Context(), signin.Attempt{
		Name:     name,
		Password: pw,
		Service:  g.conf.Name,
		Terms:    g.terms,
		Allow:    g.allow,
		Source:   w.Source,
		Request:  w.ID,
		Replaces: old,
	})
	if err != nil {
		return err
	}

	g.setCookies(w, started, who)
	w.Header().Set("Cache-Control", "no-store")

	if prefersJSON(r) {
		return web.JSON(w, http.StatusOK, jeton.Session{
			ID:       started.ID,
			User:     who.Name,
			Service:  g.conf.Name,
			Created:  started.At,
			LastUsed: started.At,
			Expires:  started.Ends,
			Source:   w.Source.String(),
		})
	}

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, g.conf.Login.Success)

	return nil
}

// sameOrigin refuses a browser that was sent here by another site: it would log a
// person in as somebody else, or out.
func (g *Gateway) sameOrigin(r *http.Request) error {
	if err := g.csrf.Check(r); err != nil {
		return jeton.WithDetail(jeton.ErrForbidden, "the request comes from another origin")
	}
	return nil
}

// previous returns the number of the login that the request still shows, or 0: a login
// always makes a new session, and this one's cookie is about to be overwritten.
func (g *Gateway) previous(w *web.Reply, r *http.Request) (int64, error) {
	req := gate.NewRequest(w, r, g.service, policy.Session)
	shown, err := gate.Identify(r.Context(), &req)
	live := gate.SessionOf(shown)
	if live != nil {
		return live.Login, nil
	}

	if err != nil && cannotTell(err) {
		return 0, err
	}

	return 0, nil
}

// cannotTell reports whether an error says nothing about the credential.
func cannotTell(err error) bool {
	return errors.Is(err, jeton.ErrUnavailable) || jeton.Outcome(err) == nil
}

// credentials reads a name and a password from a form or a JSON document. A body that
// is not there holds none.
func (g *Gateway) credentials(w *web.Reply, r *http.Request) (name string, pw jeton.Secret, err error) {
	body, err := web.Body(w, r, "a login", maxForm)
	if err != nil {
		return "", pw, err
	}
	if len(body) == 0 {
		return "", pw, nil
	}

	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}

	var fields map[string][]string

	switch kind {
	case "application/x-www-form-urlencoded":
		fields, err = parseForm(string(body))
	case "application/json":
		fields, err = parseObject(body)
	default:
		return "", pw, jeton.WithDetail(
			jeton.ErrMediaType,
			"send application/x-www-form-urlencoded or application/json",
		)
	}

	if err != nil {
		return "", pw, err
	}

	nameField, pwField := g.conf.Login.UsernameField, g.conf.Login.PasswordField
	for _, field := range []string{nameField, pwField} {
		if len(fields[field]) > 1 {
			return "", pw, jeton.WithDetail(jeton.ErrInvalid, "field "+field+" is given more than once")
		}
	}

	return first(fields[nameField]), jeton.NewSecret(first(fields[pwField])), nil
}

func parseForm(body string) (map[string][]string, error) {
	if strings.Count(body, "&") > 100 {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the form has more than 100 fields")
	}

	fields, err := url.ParseQuery(body)
	if err != nil {
		// The decoder's words would show what was sent, which may be a password.
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the form is not properly encoded")
	}

	return fields, nil
}

// parseObject reads the texts of a JSON object. A member that is there twice has two
// values, as in a form.
func parseObject(body []byte) (map[string][]string, error) {
	wrong := jeton.WithDetail(jeton.ErrInvalid, "the body is not a JSON object")
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, wrong
	}

	fields := map[string][]string{}
	for d.More() {
		key, err := d.Token()
		var value any
		if err != nil || d.Decode(&value) != nil {
			return nil, wrong
		}

		name, _ := key.(string)
		text, _ := value.(string)
		fields[name] = append(fields[name], text)
	}

	if _, err := d.Token(); err != nil {
		return nil, wrong
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, wrong
	}

	return fields, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// prefersJSON reports whether the client asks for JSON and nothing else.
func prefersJSON(r *http.Request) bool {
	accept, _, _ := strings.Cut(r.Header.Get("Accept"), ";")
	return strings.TrimSpace(accept) == "application/json"
}

func (g *Gateway) setCookies(w *web.Reply, s session.Started, who jeton.Principal) {
	age := int(s.Ends.Sub(s.At).Seconds())
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		g.setCookie(w, t.Cookies.Name, url.PathEscape(who.Name), age)
		g.setCookie(w, t.Cookies.Token, s.Secret.Reveal(), age)
		g.setCookie(w, t.Cookies.LoginTime, s.At.UTC().Format(time.RFC3339), age)
		return
	}

	g.setCookie(w, g.conf.Session.Cookie, s.Secret.Reveal(), age)
}

// setCookie sets a cookie of ours; a negative age takes it away.
func (g *Gateway) setCookie(w *web.Reply, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   age,
		Secure:   !g.conf.PlainHTTP,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// cookieNames are the names that are ours in this service.
func (g *Gateway) cookieNames() []string {
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		return []string{t.Cookies.Name, t.Cookies.Token, t.Cookies.LoginTime}
	}
	return []string{g.conf.Session.Cookie}
}

// logout answers POST on the logout path. It ends the session, or with everywhere=true
// all the user's sessions at every service. Without a session there is nothing to end,
// which is not an error; when the store cannot tell, it is.
func (g *Gateway) logout(w *web.Reply, r *http.Request) error {
	if err := g.sameOrigin(r); err != nil {
		return err
	}

	// What ends a session is its secret, whatever else fits.
	req := gate.NewRequest(w, r, g.secrets, policy.Session)
	shown, err := gate.Identify(r.Context(), &req)
	switch {
	case gate.SessionOf(shown) != nil: // also one whose time is over as far as this node knows
		if err := g.end(w, r, shown.Principal()); err != nil {
			return err
		}
	case cannotTell(err) || errors.Is(err, jeton.ErrAmbiguous):
		return err // a session may be left that this would call ended
	case errors.Is(err, jeton.ErrBadCredential):
		if err := g.sessions.Ended(r.Context()); err != nil {
			return err
		}
	}

	for _, name := range g.cookieNames() {
		g.setCookie(w, name, "", -1)
	}

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "Logged out")

	return nil
}

func (g *Gateway) end(w *web.Reply, r *http.Request, who jeton.Principal) error {
	which, action := session.Which{ID: who.Session}, audit.Logout
	everywhere, err := everywhere(w, r)
	if err != nil {
		return err
	}

	if everywhere {
		which, action = session.Which{User: who.Name}, audit.LogoutAll
	}

	ev := jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   "user:" + who.Name,
		Action:  action,
		Target:  "session:" + who.Session,
		Service: g.conf.Name,
		Outcome: audit.OK,
		Source:  w.Source.String(),
	}
	if _, err := g.sessions.End(r.Context(), which, ev); err != nil {
		return fmt.Errorf("log out: %w", err)
	}

	return nil
}

func everywhere(w *web.Reply, r *http.Request) (bool, error) {
	if r.URL.Query().Get("everywhere") == "true" {
		return true, nil
	}

	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		return false, nil
	}

	body, err := web.Body(w, r, "a logout", maxForm)
	if err != nil {
		return false, err
	}

	fields, err := parseForm(string(body))
	return first(fields["everywhere"]) == "true", err
}

// refuseLogin phrases a failed login.
func (g *Gateway) refuseLogin(w *web.Reply, r *http.Request, err error) {
	status := web.Problem(err).Status
	if status != http.StatusUnauthorized {
		web.Fail(w, r, err)
		return
	}

	t := g.conf.Teaching
	if t == nil || !t.RevealLoginFailure {
		// Not the one of Basic, which would make a browser ask in a dialog of its own.
		w.Header()["Www-Authenticate"] = []string{g.cookieChallenge()}
		web.Fail(w, r, err)
		return
	}

	realm := "Login required"

	switch signin.Why(err) {
	case signin.UnknownUser:
		realm = "No such user"
	case signin.WrongPassword, signin.Disabled:
		realm, status = "Password incorrect", http.StatusForbidden
	}

	web.Mark(w, err)
	w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
	plain(w, status, "Verification failed")
}

// challenge says how to prove oneself (RFC 9110, section 11.6.1 asks for a challenge with
// every 401). There is no registered scheme for a form and a cookie; for tokens there is
// (RFC 6750, section 3), with a code where one was shown.
func (g *Gateway) challenge(w *web.Reply, r *http.Request, err error) {
	var list []string
	if g.takesBasic && !scripted(r) {
		list = append(list, g.basicChallenge())
	}

	if len(list) > 0 && registry(r) {
		// Docker before version 23 goes on only where a refusal says that there is one.
		w.Header()["Docker-Distribution-Api-Version"] = []string{"registry/2.0"}
	} else if g.conf.Tokens != nil {
		value := `Bearer realm="` + g.conf.Name + `"`
		if errors.Is(err, jeton.ErrScope) {
			value += `, error="insufficient_scope"`
		} else if !errors.Is(err, jeton.ErrNoCredential) {
			value += `, error="invalid_token"`
		}

		list = append(list, value)
	}

	if len(g.conf.Login.Paths) > 0 || len(list) == 0 {
		list = append(list, g.cookieChallenge())
	}

	w.Header()["Www-Authenticate"] = list
}

func (g *Gateway) cookieChallenge() string {
	value := `Cookie realm="` + g.conf.Name + `"`
	if len(g.conf.Login.Paths) > 0 {
		value += `, login="` + g.conf.Login.Paths[0] + `"`
	}
	return value
}

// scripted reports whether a script in a page asks: a Basic challenge would make the browser
// open a dialog of its own.
func scripted(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode != "" && mode != "navigate" || r.Header.Get("X-Requested-With") != ""
}

// registry reports whether a client of a container registry asks and shows no Bearer token:
// it takes the realm of a Bearer challenge for the URL of a token server (distribution,
// token authentication), and gives up where it is none. Basic is all that it wants.
func registry(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.HasPrefix(r.URL.Path, "/v2/") && !strings.EqualFold(scheme, "Bearer")
}

func plain(w *web.Reply, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// refuse phrases the refusal of a route.
func (g *Gateway) refuse(w *web.Reply, r *http.Request, err error) {
	status := web.Problem(err).Status
	denial := status == http.StatusUnauthorized || status == http.StatusForbidden || errors.Is(err, jeton.ErrAmbiguous)
	if denial && teaching(g.conf).TokenInBody {
		refuseBody(w, r, err)
		return
	}

	if g.denied == nil || !denial {
		if status == http.StatusUnauthorized || errors.Is(err, jeton.ErrScope) {
			g.challenge(w, r, err)
		}
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	var text strings.Builder
	if terr := g.denied.Execute(&text, map[string]string{"Name": g.claimed(r)}); terr != nil {
		web.Fail(w, r, terr)
		return
	}

	plain(w, http.StatusForbidden, text.String())
}

// claimed returns the name that a request says it is of, believed or not, if it can be
// a name at all.
func (g *Gateway) claimed(r *http.Request) string {
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		if claimed, err := url.PathUnescape(gate.CookieValue(r.Header, t.Cookies.Name)); err == nil {
			name, _, err := naming.User(claimed)
			if err == nil {
				return name
			}
		}
	}

	return "None"
}
