package web

import (
	"net/http"
	"strings"
	"time"
)

// Cookie is a cookie that the server sets for a service: of its sessions, or a teaching client's.
type Cookie struct {
	Name      string
	PlainHTTP bool // the service has no TLS, so the cookie must travel without it
}

// Set sets the cookie for a time, in whole seconds. Without one, the browser keeps it until it is closed.
func (c Cookie) Set(w http.ResponseWriter, value string, lifetime time.Duration) {
	c.write(w, value, int(lifetime.Seconds()))
}

// Clear makes the browser delete the cookie.
func (c Cookie) Clear(w http.ResponseWriter) {
	c.write(w, "", -1)
}

// write sets the cookie. maxAge is in seconds; 0 ends it with the browser, and a negative
// one removes it.
func (c Cookie) write(w http.ResponseWriter, value string, maxAge int) {
	// HttpOnly keeps scripts of the page from reading it, SameSite=Lax other sites from sending it
	// with a POST. Without Domain, no other host gets it (RFC 6265, section 5.3).
	http.SetCookie(w, &http.Cookie{
		Name:     c.Name,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   !c.PlainHTTP,
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
