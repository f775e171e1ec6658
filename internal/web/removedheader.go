package web

import (
	"slices"
	"strings"
)

// removedNames and removedPrefixes are the headers of requests from which servers read an identity, a client
// certificate, an original address or another path or method, because a gateway of some product sets them. They are
// in the form that foldName returns.
var (
	removedNames = []string{
		// The client's identity, of many products.
		"remoteuser", "user", "username", "userid", "logname", "x-sub", "x-subject", "x-email", "x-mail",
		"x-group", "x-groups", "x-role", "x-roles", "x-scopes", "x-permissions", "x-claims", "x-id-token",
		"x-identity", "x-login", "x-preferred-username", "x-logged-in-user", "x-loggedin-user",
		"x-current-user", "x-admin", "x-is-admin", "x-anonymous-consumer", "x-scope-orgid", "x-act-as",
		"x-on-behalf-of", "x-webauthuser", "es-security-runas-user", "x-spiffe-id", "x-member-of",
		// Shibboleth.
		"eppn", "uid", "mail", "givenname", "displayname", "memberof", "persistent-id", "targeted-id",
		"entitlement", "affiliation", "unscoped-affiliation",
		// Client certificates.
		"x-arr-clientcert", "x-client-cn", "x-client-dn", "x-client-s-dn", "x-client-verify", "x-client-ssl",
		"x-client-principal",
		// The client's address.
		"x-client-ip", "client-ip", "clientip", "x-clientip", "true-client-ip", "x-true-client-ip",
		"x-cluster-client-ip", "x-originating-ip", "x-coming-from", "x-azure-clientip", "x-azure-socketip",
		"x-nf-client-connection-ip", "x-vercel-forwarded-for", "x-vercel-proxied-for", "fly-client-ip",
		"do-connecting-ip", "x-sucuri-clientip", "incap-client-ip", "ali-cdn-real-ip", "cdn-real-ip",
		"cdn-src-ip", "cf-pseudo-ipv4", "x-proxyuser-ip",
		"x-custom-ip-authorization",
		// The scheme that the client used.
		"x-scheme", "x-url-scheme", "front-end-https",
		// Another host, path or method than those that were judged; steps that a server skips.
		"x-host", "x-http-host-override", "x-http-method", "x-http-method-override", "x-method-override",
		"x-invoke-path", "x-matched-path", "x-middleware-rewrite", "x-sendfile-type", "x-accel-mapping",
		"x-middleware-subrequest",
	}

	removedPrefixes = []string{
		"remote-", "x-remote", "x-user", "user-", "auth-", "x-auth-", "x-authenticated", "x-authn-",
		"x-authz-", "x-authorized-", "x-webauth-", "x-forwarded", "forwarded", "x-consumer-", "x-credential-",
		"x-principal", "x-identity-", "x-jwt-", "x-claim-", "x-oidc-", "x-oauth-", "x-saml-", "x-sso-",
		"x-idp-", "x-ldap-", "x-trusted-", "x-impersonate-", "impersonate-", "oidc-", "saml-", "ldap-",
		"mellon-", "shib-", "cas-", "ajp-", "sm-", "iv-", "oam-", "osso-", "x-authentik-", "x-authelia-",
		"x-pomerium-", "x-vouch-", "x-okta-", "x-tyk-", "teleport-", "x-teleport-", "tailscale-", "l5d-",
		"x-envoy-", "x-goog-authenticated-", "x-goog-iap-", "x-appengine-", "x-endpoint-api-userinfo",
		"x-apigateway-api-userinfo", "x-serverless-authorization", "x-amzn-oidc-", "x-amzn-mtls-",
		"x-amzn-tls-", "x-amzn-verified-", "x-ms-client-", "x-ms-token-", "x-appservice-", "cf-access-",
		"cf-connecting-", "cf-client-", "cf-cert-", "fastly-client", "client-cert", "client-verify",
		"client-dn", "client-s-dn", "x-client-cert", "x-client-subject", "x-tls-", "x-ssl", "ssl-", "x-cert-",
		"x-certificate-", "x-real-", "x-original-", "x-rewrite-", "x-proxy-",
		"proxy-", "wl-proxy-", "-ws", // $WSRU and others of WebSphere
	}

	// keptNames match a prefix and say nothing of the kind: a browser's name, and secrets that an upstream verifies.
	keptNames = []string{"user-agent", "x-user-agent", "auth-token", "auth-key", "x-auth-token", "x-auth-key"}

	// reservedNames and reservedPrefixes are what Jeton itself sets, or keeps from every upstream.
	reservedNames = []string{
		"remote-user", "remote-groups", "remote-name", "remote-email", "forwarded", "x-request-id",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-proto",
		"authorization", "proxy-authorization",
		"proxy",          // HTTP_PROXY of a CGI program (httpoxy)
		"http2-settings", // of an upgrade to HTTP/2, which would carry requests that the gate does not judge
	}
	reservedPrefixes = []string{"jeton-", "x-jeton-"}
)

// usualNames are the headers that browsers send, in their canonical form. None is removed. Most requests have many of
// them, and the lists above are long.
var usualNames = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Content-Length", "Content-Type",
	"Cookie", "Dnt", "If-Modified-Since", "If-None-Match", "Origin", "Pragma", "Priority", "Range", "Referer",
	"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent", "X-Requested-With",
}

// usual has usualNames.
var usual = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range usualNames {
		set[name] = true
	}
	return set
}()

// foldName returns a header's name in lower case and with a dash for every character that is neither a letter nor a
// digit. CGI, WSGI and others make the same variable of all names that fold alike.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
}

// IsReservedHeader reports whether a request header, in any spelling, is one that Jeton alone sets for an upstream or
// keeps from it. No upstream can be configured to get a client's.
func IsReservedHeader(name string) bool {
	name = foldName(name)
	return slices.Contains(reservedNames, name) || hasPrefix(name, reservedPrefixes)
}

// IsRemovedHeader reports whether a client's header must not reach an upstream, unless its configuration names the
// header: in some spelling, some server would believe who or where the client says it is.
func IsRemovedHeader(name string) bool {
	return !usual[name] && isRemoved(name)
}

// isRemoved is IsRemovedHeader by the lists.
func isRemoved(name string) bool {
	name = foldName(name)
	if slices.Contains(keptNames, name) {
		return false
	}

	return slices.Contains(reservedNames, name) || hasPrefix(name, reservedPrefixes) ||
		slices.Contains(removedNames, name) || hasPrefix(name, removedPrefixes)
}

func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
