package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/web"
)

// publish replaces the upstream's own address in the headers of a response that name a URL. A client could not reach
// it, or would go past the gateway.
func (u *upstream) publish(r *http.Response) {
	in := forwardedOf(r.Request.Context())
	if in == nil {
		return
	}

	for _, name := range []string{"Location", "Content-Location"} {
		for i, text := range r.Header[name] {
			r.Header[name][i] = u.public(text, in.server.URL, in.reply.Origin)
		}
	}

	for i, text := range r.Header["Refresh"] {
		at := strings.Index(strings.ToLower(text), "url=")
		if at >= 0 {
			at += len("url=")
			r.Header["Refresh"][i] = text[:at] + u.public(text[at:], in.server.URL, in.reply.Origin)
		}
	}
}

// public returns an absolute URL of a server of the upstream as the client can use it, and any other text as it is.
func (u *upstream) public(text string, server *url.URL, origin web.Origin) string {
	v, err := url.Parse(text)
	if err != nil || v.Host == "" {
		return text
	}

	at := *v
	if at.Scheme == "" {
		at.Scheme = server.Scheme // of a URL such as //host/path
	}
	if !web.SameAuthority(&at, server.Host) {
		return text
	}

	// The reverse of what sender does.
	path := web.RawPath(v)
	if path == "" {
		path = "/"
	}
	base := strings.TrimSuffix(web.RawPath(server), "/")
	if below, ok := strings.CutPrefix(path, base); ok && strings.HasPrefix(below, "/") {
		path = below
	}
	path = strings.TrimSuffix(u.conf.StripPrefix, "/") + path

	// An upstream that reads X-Forwarded-Prefix has put it there itself.
	if !strings.HasPrefix(path, origin.Prefix+"/") {
		path = origin.Prefix + path
	}

	public := origin.String() + path
	if v.RawQuery != "" || v.ForceQuery {
		public += "?" + v.RawQuery
	}
	if v.Fragment != "" {
		public += "#" + v.EscapedFragment()
	}

	return public
}
