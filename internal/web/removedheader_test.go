package web_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestHeadersThatAreRemoved(t *testing.T) {
	for product, names := range map[string]string{
		"Authelia, Authentik, Pomerium, Vouch": "Remote-User Remote-Groups Remote-Name Remote-Email " +
			"Remote-Sub X-Authelia-Groups " +
			"X-authentik-username X-authentik-entitlements X-Pomerium-Jwt-Assertion X-Vouch-User",
		"oauth2-proxy, louketo, kong": "X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups " +
			"X-Forwarded-Preferred-Username " +
			"X-Forwarded-Access-Token X-Auth-Request-User X-Auth-Request-Groups X-Auth-Username " +
			"X-Auth-Userid X-Auth-Email X-Auth-Roles X-Auth-Subject X-Auth-User X-Userinfo X-ID-Token " +
			"X-Consumer-ID X-Consumer-Username X-Credential-Identifier X-Authenticated-Userid " +
			"X-Anonymous-Consumer",
		"clouds": "X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-ID X-Goog-Iap-Jwt-Assertion " +
			"X-Appengine-User-Email X-Amzn-Oidc-Data X-Amzn-Oidc-Identity X-Amzn-Oidc-Accesstoken " +
			"X-Amzn-Mtls-Clientcert-Subject X-Ms-Client-Principal X-Ms-Client-Principal-Name " +
			"X-Ms-Client-Principal-Id X-Ms-Token-Aad-Access-Token X-ARR-ClientCert " +
			"Cf-Access-Authenticated-User-Email Cf-Access-Jwt-Assertion Cf-Access-Client-Id " +
			"Cf-Client-Cert-Sha256 Tailscale-User-Login Tailscale-User-Name Tailscale-App-Capabilities",
		"certificates": "Client-Cert Client-Cert-Chain X-Client-Cert X-Client-DN X-Client-Verify X-SSL-Client-Cert " +
			"X-SSL-Client-S-DN Ssl-Client-Cert Ssl-Client-Subject-Dn SSL-Client-Verify " +
			"X-Forwarded-Client-Cert X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info " +
			"X-Tls-Client-Subject X-Client-Subject",
		"applications": "X-WEBAUTH-USER X-Webauth-Email X-Webauth-Fullname X-Remote-User X-Remote-Group " +
			"X-Remote-Extra-Scopes X-User X-User-Id X-User-Email X-User-Roles X-Username X-UserName User-Id " +
			"User User-Email Username Impersonate-User Impersonate-Group X-Scope-OrgID " +
			"es-security-runas-user Auth-User X-Impersonate-User X-Email X-Roles X-Groups X-Subject " +
			"X-Preferred-Username X-Principal X-Current-User X-Trusted-User",
		"sign-on products": "SM_USER SM-UserDN iv-user iv-groups OAM_REMOTE_USER Osso-User-Dn Proxy-Remote-User " +
			"OIDC_CLAIM_sub OIDC-Access-Token MELLON_NAME_ID Shib-Identity-Provider eppn CAS-User AJP_user " +
			"$WSRU X-Okta-User X-Tyk-User",
		"attributes of Shibboleth": "uid mail givenName displayName memberOf",
		"schemes":                  "X-Scheme X-Url-Scheme Front-End-Https",
		"meshes": "X-Envoy-Original-Path X-Envoy-Internal X-Envoy-External-Address l5d-client-id X-Jwt-Payload " +
			"X-JWT-Assertion Teleport-Jwt-Assertion X-Spiffe-Id",
		"addresses": "Forwarded X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix " +
			"X-Forwarded-Proto X-Forwarded-Server X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-Uri " +
			"X-Forwarded-Method Forwarded-For X-Real-IP X-Client-IP Client-IP True-Client-IP " +
			"CF-Connecting-IP CF-Connecting-IPv6 Fastly-Client-IP X-Cluster-Client-IP X-Originating-IP " +
			"X-Remote-IP X-Remote-Addr X-Azure-ClientIP Fly-Client-IP WL-Proxy-Client-IP Proxy-Client-IP " +
			"X-ProxyUser-Ip X-AppEngine-User-IP X-Original-Forwarded-For " +
			"X-Custom-IP-Authorization",
		"other requests than the one judged": "X-Original-URL X-Original-URI X-Original-Host " +
			"X-Original-Method X-Rewrite-URL X-Host " +
			"X-Http-Method X-HTTP-Method-Override X-Method-Override X-Middleware-Subrequest X-Accel-Mapping " +
			"X-Invoke-Path X-Matched-Path X-Middleware-Rewrite " +
			"X-Sendfile-Type HTTP2-Settings Proxy Proxy-Authorization Authorization",
		"ours": "Jeton-Uses-Remaining X-Jeton-User X-Request-Id",
	} {
		for name := range strings.FieldsSeq(names) {
			for _, spelling := range []string{
				name,
				strings.ToLower(name),
				strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
				strings.Replace(name, "-", "_", 1),
				strings.ReplaceAll(name, "-", "."),
			} {
				if !web.IsRemovedHeader(spelling) {
					t.Errorf("%s: IsRemovedHeader(%q) = false, want true", product, spelling)
				}
			}
		}
	}
}

func TestHeadersThatPass(t *testing.T) {
	for name := range strings.FieldsSeq("Accept Accept-Encoding Accept-Language " +
		"Access-Control-Request-Method Cache-Control Content-Type " +
		"Content-Length Cookie DNT Date Depth Destination Expect From Host If-Match If-None-Match " +
		"Last-Event-ID Link Lock-Token Max-Forwards Origin Overwrite Pragma Priority Range Referer " +
		"Sec-CH-UA Sec-Fetch-Site Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-Purpose Service-Worker TE " +
		"Timeout Tus-Resumable Upgrade-Insecure-Requests Upload-Offset User-Agent Via X-User-Agent " +
		"X-Grpc-Web Grpc-Timeout Traceparent Tracestate B3 X-B3-Traceid X-Correlation-ID X-Amzn-Trace-Id " +
		"X-Cloud-Trace-Context X-Requested-With X-CSRF-Token X-XSRF-Token X-Api-Key X-Auth-Token " +
		"X-Auth-Key Private-Token Job-Token X-Access-Token X-Amz-Date X-Amz-Content-Sha256 " +
		"X-Hub-Signature-256 X-GitHub-Event X-Gitlab-Event Stripe-Signature X-Vault-Token " +
		"X-Grafana-Org-Id X-Client-Version X-Client-Data X-Registry-Auth Docker-Content-Digest " +
		"HX-Request Turbo-Frame Soapaction Idempotency-Key Prefer Git-Protocol Mcp-Session-Id " +
		"X-Session-Id") {
		if web.IsRemovedHeader(name) {
			t.Errorf("IsRemovedHeader(%q) = true, want false", name)
		}
	}
}

func TestReservedHeaders(t *testing.T) {
	for name, want := range map[string]bool{
		"Remote-User":             true,
		"remote_groups":           true,
		"X_Forwarded-Proto":       true,
		"Authorization":           true,
		"Jeton-Error":             true,
		"X-WEBAUTH-USER":          false,
		"X-Forwarded-Client-Cert": false,
		"X-Original-URL":          false,
	} {
		if got := web.IsReservedHeader(name); got != want {
			t.Errorf("IsReservedHeader(%q) = %t, want %t", name, got, want)
		}
	}
}
