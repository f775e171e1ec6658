package web

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

// Cookie is a cookie that the server sets for a service: of its sessions, or a teaching client's.
type Cookie struct {
	Name      string
	Former    string // a name that is still read and cleared, but not set; "": none
	PlainHTTP bool   // the service has no TLS, so the cookie must travel without it, unless a proxy has
}

// DefaultCookie returns what the names of session cookies begin with, unless they are configured. Browsers accept the
// prefix __Host- over TLS only, and then let no neighbouring host set the cookie.
func DefaultCookie(plainHTTP bool) string {
	if plainHTTP {
		return "jeton"
	}
	return "__Host-jeton"
}

// IsDefaultCookie reports whether a cookie has a name that some service has by default, or had.
func IsDefaultCookie(name string) bool {
	name = strings.TrimPrefix(name, "__Host-")
	return name == "jeton" || strings.HasPrefix(name, "jeton-")
}

// Set sets the cookie for a time, in whole seconds. Without one, the browser keeps it until it is closed.
func (c Cookie) Set(w http.ResponseWriter, value string, lifetime time.Duration) {
	c.write(w, value, int(lifetime.Seconds()))
}

// Clear makes the browser delete the cookie.
func (c Cookie) Clear(w http.ResponseWriter) {
	c.write(w, "", -1)

	if c.Former != "" {
		former := Cookie{Name: c.Former, PlainHTTP: c.PlainHTTP}
		former.write(w, "", -1)
	}
}

// lastLogout is the end of the name of the cookie that End leaves. No service has a dot in its name.
const lastLogout = "-last.logout"

// backTime is longer than any browser keeps a page for its button Back.
const backTime = 15 * time.Minute

// End is Clear for the cookie of a session that a logout ends. It leaves another cookie for a while, with a value of
// its own. Chromium keeps pages for Back in spite of no-store, and shows them again if the browser has the same cookies
// as when it asked for them. The page after a login was asked for without a session, as after the logout.
func (c Cookie) End(w http.ResponseWriter) {
	c.Clear(w)
	c.Trace(w)
}

// Trace leaves the other cookie of End alone, for a session that has ended at another host.
func (c Cookie) Trace(w http.ResponseWriter) {
	trace := Cookie{Name: DefaultCookie(c.PlainHTTP) + lastLogout, PlainHTTP: c.PlainHTTP}
	trace.Set(w, rand.Text(), backTime)
}

// Find returns the value of the cookie in the headers of a request and how many there are of it. The former name
// counts only if no cookie has the current one.
func (c Cookie) Find(h http.Header) (value string, count int) {
	value, count = FindCookie(h, c.Name)
	if count == 0 && c.Former != "" {
		value, count = FindCookie(h, c.Former)
	}

	return value, count
}

// write sets the cookie. maxAge is in seconds; 0 ends it with the browser, and a negative
// one removes it.
func (c Cookie) write(w http.ResponseWriter, value string, maxAge int) {
	reply, ok := w.(*Reply)
	overTLS := ok && reply.Origin.Scheme == "https"

	// HttpOnly keeps scripts of the page from reading it, SameSite=Lax other sites from sending it
	// with a POST. Without Domain, no other host gets it (RFC 6265, section 5.3).
	http.SetCookie(w, &http.Cookie{
		Name:     c.Name,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   !c.PlainHTTP || overTLS,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// FindCookie returns the value of the first cookie of that name and how many there are
// (RFC 6265, section 5.4). It allocates no memory.
func FindCookie(h http.Header, name string) (value string, count int) {
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			key, v, ok := strings.Cut(pair, "=")
			if !ok || key != name {
				continue
			}

			// Readers of a credential refuse a count above 1: a neighbouring host can set a second cookie.
			count++
			if count == 1 {
				value = unquote(v)
			}
		}
	}

	return value, count
}

// unquote removes the quotes that RFC 6265, section 4.1.1, allows around a value.
func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}
