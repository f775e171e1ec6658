package wallet

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// The limits of RFC 6265, section 6.1, which keep a wallet small.
const (
	maxCookies    = 64
	maxCookieSize = 4096
)

// cookie is a cookie of one identity. It has no domain: whatever Domain a server asks for, a
// cookie is sent only to the origin that set it, so neither sibling hosts nor a list of
// public suffixes matter.
type cookie struct {
	Name     string    `json:"name"`
	Value    string    `json:"value"`
	Quoted   bool      `json:"quoted,omitempty"`
	Path     string    `json:"path"`
	Secure   bool      `json:"secure,omitempty"`
	HTTPOnly bool      `json:"http_only,omitempty"`
	SameSite int       `json:"same_site,omitempty"`
	Expires  time.Time `json:"expires,omitzero"` // zero: until the server ends the session
	Created  time.Time `json:"created"`
	Set      time.Time `json:"set"`
}

// live reports whether c has not expired. A cookie without an expiry lives as long as the
// login: the wallet has no end of a browser session at which to drop it.
func (c cookie) live(now time.Time) bool { return c.Expires.IsZero() || now.Before(c.Expires) }

// is reports whether c has the name and the path, which identify a cookie within one origin
// (RFC 6265, section 5.3, step 11).
func (c cookie) is(name, path string) bool { return c.Name == name && c.Path == path }

// jar holds the cookies of one identity at one origin. Its methods return a new jar and do
// not change the old one, so that a jar can be read without a lock.
type jar []cookie

// change is what learn found.
type change int

const (
	same    change = iota
	touched        // only a later expiry: written with the next change
	changed        // a value was added or removed: its loss could cost the session
)

// learn returns the jar after a response to a request for path has set cookies, as in RFC
// 6265bis, section 5.7, with Domain ignored.
func (j jar) learn(o Origin, path string, set []*http.Cookie, now time.Time) (jar, change) {
	out := slices.Clone(j)
	what := same
	for _, sc := range set {
		c, ok := accept(o, path, sc, now)
		if !ok {
			continue
		}

		at := slices.IndexFunc(out, func(have cookie) bool { return have.is(c.Name, c.Path) })
		switch {
		// A cookie with an expiry in the past is how a server deletes one (RFC 6265, section
		// 3.1).
		case !c.live(now):
			if at >= 0 {
				out, what = slices.Delete(out, at, at+1), changed
			}
		case at < 0:
			out, what = append(out, c), changed
		default:
			// The order of sending depends on the first creation (RFC 6265, section 5.3, step
			// 11).
			c.Created = out[at].Created
			was := out[at]
			if was.Value != c.Value || was.Secure != c.Secure || was.Quoted != c.Quoted {
				what = changed
			} else if !was.Expires.Equal(c.Expires) {
				what = max(what, touched)
			}

			out[at] = c
		}
	}

	if what == same {
		return j, same
	}

	out = slices.DeleteFunc(out, func(c cookie) bool { return !c.live(now) })
	// The cookies that were set longest ago go first.
	over := len(out) - maxCookies
	if over > 0 {
		slices.SortStableFunc(out, func(a, b cookie) int { return a.Set.Compare(b.Set) })
		out = out[over:]
	}

	return out, what
}

// accept returns the cookie that sc asks for, or reports that it must be ignored.
func accept(o Origin, path string, sc *http.Cookie, now time.Time) (cookie, bool) {
	c := cookie{
		Name:     sc.Name,
		Value:    sc.Value,
		Quoted:   sc.Quoted,
		Path:     sc.Path,
		Secure:   sc.Secure,
		HTTPOnly: sc.HttpOnly,
		SameSite: int(sc.SameSite),
		Created:  now,
		Set:      now,
	}
	if c.Name == "" || len(c.Name)+len(c.Value) > maxCookieSize || len(c.Path) > 1024 {
		return cookie{}, false
	}
	if !strings.HasPrefix(c.Path, "/") {
		c.Path = defaultPath(path)
	}

	// A plain connection must not plant a cookie that is later trusted as Secure (RFC 6265bis,
	// section 5.7).
	if c.Secure && !carriesSecure(o) {
		return cookie{}, false
	}

	// Prefixes are compared without case, as servers may read cookie names so (RFC 6265bis).
	lower := strings.ToLower(c.Name)
	if strings.HasPrefix(lower, "__secure-") && !c.Secure {
		return cookie{}, false
	}
	if strings.HasPrefix(lower, "__host-") && (!c.Secure || sc.Path != "/" || sc.Domain != "") {
		return cookie{}, false
	}

	switch {
	// Max-Age has precedence over Expires (RFC 6265, section 5.3, step 3).
	case sc.MaxAge < 0:
		c.Expires = now
	case sc.MaxAge > 0:
		// 400 days is more than any session; it also keeps the sum in range.
		c.Expires = now.Add(time.Duration(min(sc.MaxAge, 400*24*60*60)) * time.Second)
	case !sc.Expires.IsZero():
		c.Expires = sc.Expires
	}

	return c, true
}

// carriesSecure reports whether Secure cookies may be sent to o: over https, and to this
// machine itself, as browsers do.
func carriesSecure(o Origin) bool { return o.secure() || o.Loopback() }

// defaultPath is RFC 6265, section 5.1.4.
func defaultPath(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || path[0] != '/' {
		return "/"
	}
	return path[:i]
}

// pathMatch is RFC 6265, section 5.1.4.
func pathMatch(request, path string) bool {
	if request == path {
		return true
	}
	rest, ok := strings.CutPrefix(request, path)
	return ok && (strings.HasSuffix(path, "/") || strings.HasPrefix(rest, "/"))
}

// send returns the cookies for a request to path: the longest path first, then the oldest
// (RFC 6265, section 5.4).
func (j jar) send(o Origin, path string, now time.Time) []cookie {
	if path == "" {
		path = "/"
	}

	var out []cookie
	for _, c := range j {
		if c.live(now) && pathMatch(path, c.Path) && (!c.Secure || carriesSecure(o)) {
			out = append(out, c)
		}
	}

	slices.SortStableFunc(out, func(a, b cookie) int {
		d := len(b.Path) - len(a.Path)
		if d != 0 {
			return d
		}
		return a.Created.Compare(b.Created)
	})

	return out
}

// merge returns j with the cookies that other has set later. It combines the responses that
// two processes got in one session.
func (j jar) merge(other jar) jar {
	out := slices.Clone(j)
	for _, c := range other {
		at := slices.IndexFunc(out, func(have cookie) bool { return have.is(c.Name, c.Path) })
		switch {
		case at < 0:
			out = append(out, c)
		case c.Set.After(out[at].Set):
			out[at] = c
		}
	}

	return out
}

// equal reports whether both hold the same cookies, in any order.
func (j jar) equal(other jar) bool {
	return len(j) == len(other) && !slices.ContainsFunc(j, func(c cookie) bool { return !slices.Contains(other, c) })
}

// live reports whether any cookie has not expired.
func (j jar) live(now time.Time) bool {
	return slices.ContainsFunc(j, func(c cookie) bool { return c.live(now) })
}

// expires returns the first expiry of a cookie, or zero if none has one.
func (j jar) expires() time.Time {
	var first time.Time
	for _, c := range j {
		if !c.Expires.IsZero() && (first.IsZero() || c.Expires.Before(first)) {
			first = c.Expires
		}
	}

	return first
}

// addTo adds the cookies to r. If the caller has set one of the same name, the identity's
// replaces it.
func addTo(r *http.Request, cookies []cookie) {
	callers := r.Cookies()
	// Two cookies of one name would leave it to the server which identity sends the request.
	r.Header.Del("Cookie")

	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
	}

	for _, c := range callers {
		if !slices.ContainsFunc(cookies, func(own cookie) bool { return own.Name == c.Name }) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
		}
	}
}
