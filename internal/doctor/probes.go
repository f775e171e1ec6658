package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// page are the headers of a browser that loads a page.
var page = []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// forged is what no header may have that arrives.
const forged = "jeton-doctor-forged"

// strangers checks that a request without a credential gets 401, and does not arrive.
func (e *examination) strangers(ctx context.Context) error {
	resp, got, err := e.send(ctx, probe{bare: true})
	switch {
	case err != nil:
		return err
	case len(got) > 0:
		e.found(nameOpen, "a request without a credential reaches the application")
	case resp.StatusCode < http.StatusMultipleChoices:
		e.found(nameErrorPage, fmt.Sprintf("a script without a credential gets %d, not 401", resp.StatusCode))
	case resp.StatusCode < http.StatusBadRequest:
		e.found(nameRedirect, fmt.Sprintf("a script without a credential gets %d, not 401", resp.StatusCode))
	case resp.StatusCode != http.StatusUnauthorized:
		e.found(nameErrorPage, fmt.Sprintf("a script without a credential gets %d, not 401", resp.StatusCode))
	}

	return nil
}

// browsers checks that a page leads to the sign-in of the service itself.
func (e *examination) browsers(ctx context.Context) error {
	resp, got, err := e.send(ctx, probe{bare: true, header: page})
	if err != nil {
		return err
	}

	to, err := url.Parse(resp.Header.Get("Location"))
	right := err == nil && to.Host == e.URL.Host && to.Path == "/.jeton/start"
	right = resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusSeeOther && right
	if len(got) == 0 && !right {
		e.found(nameRedirect, fmt.Sprintf("a page without a credential gets %d to %q, not 303 to /.jeton/start",
			resp.StatusCode, resp.Header.Get("Location")))
	}

	return nil
}

// identity checks that the application gets the caller from Jeton, and no credential.
func (e *examination) identity(ctx context.Context) error {
	_, got, err := e.send(ctx, probe{header: []string{"Remote-User: " + forged, "Remote-Groups: " + forged,
		"Remote-Name: " + forged, "Remote-Email: " + forged}})
	if err != nil || len(got) == 0 {
		return err
	}

	for _, name := range []string{"Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email"} {
		values := got[0].get(name)
		if strings.Contains(strings.Join(values, ""), forged) {
			e.found(nameIdentity, "the client's "+name+" reaches the application")
		}
		if strings.Contains(strings.Join(values, ""), "{http.") {
			e.found(nameIdentity, name+" has a placeholder in it, not a value")
		}
	}
	user := got[0].get("Remote-User")
	if len(user) != 1 || user[0] == "" {
		e.found(nameIdentity, fmt.Sprintf("the application gets the user %q, not one", user))
	}
	if len(got[0].get("Authorization")) > 0 {
		e.found(nameAuthorization, "the credential of the caller reaches the application")
	}

	return nil
}

// clientHeaders are those with which a client says where it is or what it asks, in the spellings that servers read as
// the same.
var clientHeaders = []string{
	"Remote_User", "Remote_Groups", "remote_USER", "X-Forwarded-User", "X_Forwarded_User",
	"X-Forwarded-Uri", "X-Forwarded_Uri", "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Proto",
	"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Original-URL", "X-Original-Method", "X-Rewrite-URL", "X-Real-IP",
	"Forwarded", "X-HTTP-Method-Override", "Jeton-Cookie",
}

// headers sends each header that only the proxy may set: it is removed, and the request passes.
func (e *examination) headers(ctx context.Context) error {
	for _, name := range clientHeaders {
		resp, got, err := e.send(ctx, probe{header: []string{name + ": " + forged}})
		if err != nil {
			return err
		}

		kind := nameHeader
		if strings.Contains(name, "_") {
			kind = nameUnderscore
		}
		if len(got) == 0 {
			const seen = "with the client's %s a request gets %d: Jeton sees the header"
			e.found(kind, fmt.Sprintf(seen, name, resp.StatusCode))
			continue
		}
		for _, f := range got[0].header {
			if strings.Contains(f.value, forged) {
				e.found(kind, fmt.Sprintf("the client's %s reaches the application as %s", name, f.name))
			}
		}
	}

	return nil
}

// connection checks that a client cannot have headers deleted that the proxy sets (RFC 9110, section 7.6.1).
func (e *examination) connection(ctx context.Context) error {
	for _, line := range []string{"Connection: close, Remote-User", "connection: remote-user"} {
		_, got, err := e.send(ctx, probe{header: []string{line}})
		if err != nil {
			return err
		}
		if len(got) > 0 && strings.Join(got[0].get("Remote-User"), "") == "" {
			e.found(nameConnection, fmt.Sprintf("%q deletes the user at the application", line))
		}
	}

	return nil
}

// upgrades checks that a WebSocket is judged as any request, and that no client can switch to another protocol, in
// which the proxy sees no requests (RFC 9110, section 7.8).
func (e *examination) upgrades(ctx context.Context) error {
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	socket := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key}

	_, got, err := e.send(ctx, probe{bare: true, header: socket})
	if err != nil {
		return err
	}
	if len(got) > 0 {
		e.found(nameUpgrade, "a WebSocket without a credential reaches the application")
	}

	_, got, err = e.send(ctx, probe{header: append(socket, "Remote-User: "+forged)})
	if err != nil {
		return err
	}
	if len(got) > 0 {
		user := strings.Join(got[0].get("Remote-User"), "|")
		if user == "" || strings.Contains(user, forged) {
			e.found(nameUpgrade, fmt.Sprintf("a WebSocket arrives as of the user %q", user))
		}
	}

	h2c := []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}
	_, got, err = e.send(ctx, probe{header: h2c})
	if err != nil {
		return err
	}
	if len(got) > 0 && len(got[0].get("Upgrade")) > 0 {
		e.found(nameUpgrade, "an Upgrade to h2c reaches the application")
	}

	return nil
}

// hosts checks that the service has no other name at the proxy.
func (e *examination) hosts(ctx context.Context) error {
	for _, bare := range []bool{true, false} {
		_, got, err := e.send(ctx, probe{host: "jeton-doctor.invalid", bare: bare})
		if err != nil {
			return err
		}
		if len(got) > 0 {
			e.found(nameHost, "a request for an unknown host reaches the application")
		}
	}

	return nil
}

// methods checks that CONNECT and TRACE do not arrive.
func (e *examination) methods(ctx context.Context) error {
	for _, method := range []string{http.MethodConnect, http.MethodTrace} {
		_, got, err := e.send(ctx, probe{method: method})
		if err != nil {
			return err
		}
		if len(got) > 0 {
			e.found(nameMethod, method+" reaches the application")
		}
	}

	return nil
}

// body checks that the body of a request arrives at the application, and is not sent to Jeton, which refuses it.
func (e *examination) body(ctx context.Context) error {
	const text = "jeton=doctor"
	resp, got, err := e.send(ctx, probe{method: http.MethodPost, body: text})
	switch {
	case err != nil:
		return err
	case len(got) == 0 && resp.StatusCode == http.StatusMethodNotAllowed:
		// No route of the service has POST.
	case len(got) == 0:
		e.found(nameBody, fmt.Sprintf("a POST with a body gets %d", resp.StatusCode))
	case got[0].method != http.MethodPost || len(got[0].get("Content-Length")) > 0 && got[0].body != text:
		e.found(nameBody, fmt.Sprintf("of a POST with a body arrive %s and %d bytes", got[0].method, len(got[0].body)))
	}

	return nil
}

// paths checks that a target arrives as it was sent, or not at all.
func (e *examination) paths(ctx context.Context) error {
	base := strings.TrimSuffix(e.URL.EscapedPath(), "/")
	for _, target := range []string{
		either(base, "/") + "?a=%2F&b=%2e%2e/&c=d+e",
		base + "/a%20b",
		base + "/%41",
		base + "/a/../b",
		base + "/a/%2e%2e/b",
		base + "//a",
		base + "/a%2fb",
		base + `/a\b`,
		base + "/a#b",
	} {
		_, got, err := e.send(ctx, probe{target: target})
		if err != nil {
			return err
		}
		// Encoded, they are judged as they arrive.
		encoded := strings.NewReplacer("#", "%23", `\`, "%5C").Replace(target)
		if len(got) > 0 && got[0].target != target && got[0].target != encoded {
			e.found(namePath, fmt.Sprintf("%s arrives as %s", target, got[0].target))
		}
	}

	return nil
}

// signIn checks that the pages of Jeton at the service can be reached, and set cookies for its host alone.
func (e *examination) signIn(ctx context.Context) error {
	const start = "/.jeton/start"
	target := start + "?to=" + url.QueryEscape(e.URL.RequestURI())
	resp, got, err := e.send(ctx, probe{bare: true, target: target, header: page})
	if err != nil {
		return err
	}

	if len(got) == 0 && resp.StatusCode == http.StatusNotFound {
		return nil // Jeton has no such page: the service has no sign-in
	}

	to, err := url.Parse(resp.Header.Get("Location"))
	leads := err == nil && to.Path != start && to.Path != ""
	if len(got) > 0 || resp.StatusCode != http.StatusSeeOther || !leads {
		e.found(nameOwn, fmt.Sprintf("%s gets %d to %q, not 303 to the sign-in", start, resp.StatusCode,
			resp.Header.Get("Location")))
		return nil
	}

	cookies := resp.Cookies()
	if len(cookies) == 0 {
		e.found(nameCookie, start+" sets no cookie, so that each sign-in begins again")
	}
	if slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return c.Domain != "" || c.Path != "/" }) {
		e.found(nameCookie, start+" sets cookies for another domain or path")
	}

	return nil
}
