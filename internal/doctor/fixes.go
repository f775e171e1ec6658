package doctor

// The names of the findings.
const (
	nameSite          = "site"
	nameOriginal      = "original-url"
	nameAsk           = "ask"
	nameOpen          = "open"
	nameErrorPage     = "error-page"
	nameRedirect      = "redirect"
	nameIdentity      = "identity"
	nameAuthorization = "authorization"
	nameHeader        = "header"
	nameUnderscore    = "underscore"
	nameConnection    = "connection"
	nameUpgrade       = "upgrade"
	nameHost          = "host"
	nameMethod        = "method"
	nameBody          = "body"
	namePath          = "path"
	nameOwn           = "own-pages"
	nameCookie        = "cookie"
)

// fixes are the lines to change: for nginx, for Caddy, and for every other proxy.
var fixes = map[string][3]string{
	nameSite: {
		"server_name: name the host of the service in the server that asks Jeton",
		"the address of the site: name the host and the port of the service",
		"name the host of the service in the part that asks Jeton",
	},
	nameOriginal: {
		"proxy_set_header X-Original-URL and X-Original-Method: set both in the location that asks Jeton",
		"request_header -X-Original*: add it before forward_auth",
		"set the headers that say what is judged, and pass on none of the client's",
	},
	nameAsk: {
		"auth_request, and the proxy_set_header lines of the location that asks Jeton",
		"forward_auth: its uri is /authz/caddy?service=NAME",
		"the part that asks Jeton",
	},
	nameOpen: {
		"auth_request: add it to the location",
		"forward_auth: add it before reverse_proxy, inside of route",
		"ask Jeton before every request of the service",
	},
	nameErrorPage: {
		"error_page 401: it must keep the status, without =200",
		"handle_response and handle_errors: remove what answers in the place of Jeton",
		"hand the refusal of Jeton to the client with its status",
	},
	nameRedirect: {
		"error_page 401: it leads to return 303 $jeton_location, and to 401 where that is empty",
		"forward_auth: remove what answers in the place of Jeton",
		"hand the refusal of Jeton to the client with its status and Location",
	},
	nameIdentity: {
		"proxy_set_header Remote-User, -Groups, -Name, -Email: set each to its variable of auth_request_set",
		"copy_headers of forward_auth, and request_header -Remote* before it",
		"remove the client's Remote-User, -Groups, -Name and -Email, and set those of Jeton's answer",
	},
	nameAuthorization: {
		`proxy_set_header Authorization "": add it`,
		"request_header -Authorization: add it after forward_auth",
		"remove Authorization once Jeton has judged it",
	},
	nameHeader: {
		`proxy_set_header NAME "": add it for the header, in both locations`,
		"request_header -X-Forwarded*, -X-Original*, -X-Rewrite*, -X-Real*, -X-HTTP-Method*, -Forwarded*: add them",
		"remove the client's header",
	},
	nameUnderscore: {
		"underscores_in_headers on: remove it",
		"request_header -Remote* and -X_Forwarded*: add them before forward_auth",
		"remove headers that are spelled with underscores",
	},
	nameConnection: {
		`proxy_set_header Connection "": add it`,
		"@hop header_regexp Connection, and respond @hop 400: add them",
		"refuse requests whose Connection names a header that the proxy sets",
	},
	nameUpgrade: {
		"proxy_set_header Upgrade: pass it on in a location with auth_request alone, and only if it is websocket",
		"@upgrade, and respond @upgrade 400: add them; reverse_proxy of WebSockets: after forward_auth",
		"ask Jeton before a WebSocket, and pass no other Upgrade on",
	},
	nameHost: {
		"listen ... default_server: let it refuse, with return 421",
		"the site without a host: remove it, or have it refuse with respond 421",
		"refuse unknown hosts",
	},
	nameMethod: {
		"the location that passes CONNECT or TRACE on: have it refuse",
		"@connect method CONNECT, and respond @connect 405: add them",
		"refuse CONNECT and TRACE",
	},
	nameBody: {
		`proxy_pass_request_body off, and proxy_set_header Content-Length "": add both where Jeton is asked`,
		"forward_auth: do not replace it by a reverse_proxy that sends the body",
		"send no body to Jeton",
	},
	namePath: {
		"proxy_pass: remove the path after the address of the application, and every rewrite",
		"uri, rewrite, handle_path: remove them, or put them into the application",
		"pass the target on as it arrived",
	},
	nameOwn: {
		"location ^~ /.jeton/: pass it on to Jeton without auth_request",
		"reverse_proxy @own: pass /.jeton/* on to Jeton, before forward_auth",
		"pass /.jeton/ on to Jeton without asking",
	},
	nameCookie: {
		"proxy_cookie_domain, proxy_cookie_path, proxy_hide_header Set-Cookie: remove them",
		"header_down Set-Cookie: remove it",
		"leave Set-Cookie of Jeton as it is",
	},
}

// fixFor returns the line to change for a finding.
func fixFor(proxy, name string) string {
	switch proxy {
	case "nginx":
		return fixes[name][0]
	case "caddy":
		return fixes[name][1]
	}
	return fixes[name][2]
}
