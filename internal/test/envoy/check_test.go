// Package envoy asks for decisions over gRPC as Envoy does, with the client and the messages that others maintain. It
// is a module of its own, so that the product needs neither.
package envoy

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/jeton-auth/jeton/jetontest"
)

const configuration = `
forward: {listen: "127.0.0.1:0", trusted_proxies: [TRUSTED]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    url: https://app.example
    login: {sign_in: true}
    tokens: {}
    routes:
      - {match: '/{rest...}'}
      - {match: 'GET /open/{rest...}', open: true}
      - {match: /twice, max_uses: 2}
`

// start starts a server that trusts a proxy, and returns it with a connection of gRPC to it.
func start(t *testing.T, trusted string) (*jetontest.Server, *grpc.ClientConn) {
	t.Helper()
	s := jetontest.Start(t, strings.Replace(configuration, "TRUSTED", trusted, 1))
	s.AddUser("diane", "correct horse battery")

	conn, err := grpc.NewClient(s.Forward(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	return s, conn
}

// asks returns what Envoy asks about GET of a path, with headers, names and values in turn.
func asks(path string, header ...string) *auth.CheckRequest {
	h := map[string]string{
		":method":           "GET",
		":path":             path,
		":authority":        "app.example",
		":scheme":           "https",
		"x-forwarded-proto": "https",
	}
	for i := 0; i+1 < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}

	address := &core.Address{Address: &core.Address_SocketAddress{
		SocketAddress: &core.SocketAddress{
			Address:       "192.0.2.9",
			PortSpecifier: &core.SocketAddress_PortValue{PortValue: 4711},
		},
	}}

	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: address},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Id:       "12345678901234567890",
			Method:   "GET",
			Headers:  h,
			Path:     path,
			Host:     "app.example",
			Scheme:   "https",
			Protocol: "HTTP/2",
		}},
	}}
}

// with returns a request with a change of what it says of the request in Envoy.
func with(r *auth.CheckRequest, change func(h *auth.AttributeContext_HttpRequest)) *auth.CheckRequest {
	change(r.Attributes.Request.Http)
	return r
}

// outcome is a response in a form that can be compared.
type outcome struct {
	code    codes.Code
	status  int // of the refusal; 0: admitted
	headers map[string]string
	remove  string
	body    string
}

// check asks, and returns the response.
func check(t *testing.T, conn *grpc.ClientConn, r *auth.CheckRequest) outcome {
	t.Helper()
	resp, err := auth.NewAuthorizationClient(conn).Check(t.Context(), r)
	if err != nil {
		t.Fatalf("Check = %v, want a response: Envoy may pass a request on after an error", err)
	}

	return outcomeOf(resp)
}

func outcomeOf(resp *auth.CheckResponse) outcome {
	o := outcome{code: codes.Code(resp.GetStatus().GetCode()), headers: map[string]string{}}
	options := resp.GetOkResponse().GetHeaders()
	if d := resp.GetDeniedResponse(); d != nil {
		o.status = int(d.GetStatus().GetCode())
		o.body = d.GetBody()
		options = d.GetHeaders()
	}
	for _, option := range options {
		o.headers[option.GetHeader().GetKey()] += option.GetHeader().GetValue()
	}

	removed := slices.Sorted(slices.Values(resp.GetOkResponse().GetHeadersToRemove()))
	o.remove = strings.Join(removed, ",")

	return o
}

func TestEnvoyGetsTheDecisionOverGRPC(t *testing.T) {
	s, conn := start(t, "127.0.0.1")
	mine := s.AddToken(jetontest.NewToken{Name: "mine", User: "diane", Services: []string{"app"}})
	bearer := []string{"authorization", "Bearer " + mine.Secret, "cookie", "theme=dark; __Host-jeton-app=x"}
	browser := []string{"accept", "text/html,*/*;q=0.8", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document"}
	const all = "authorization,cookie,jeton-cookie,remote-email,remote-groups,remote-name,remote-user"

	for _, tc := range []struct {
		name    string
		request *auth.CheckRequest
		status  int // 0: admitted
		want    []string
		remove  string
		reason  string // in the audit log
	}{
		{"an open route", asks("/open/a?b=c"), 0, []string{"jeton-assertion", "ey"}, all, ""},
		{
			"a token",
			asks("/page", bearer...),
			0,
			[]string{"remote-user", "diane", "cookie", "theme=dark", "jeton-assertion", "ey"},
			"authorization,jeton-cookie,remote-email,remote-groups,remote-name",
			"",
		},
		{
			"a script",
			asks("/page"),
			401,
			[]string{"www-authenticate", "Bearer", "content-type", "application/"},
			"",
			"no",
		},
		{
			"a browser",
			asks("/page?a=b", browser...),
			303,
			[]string{"location", "https://app.example/.jeton/start?to=%2Fpage%3Fa%3Db"},
			"",
			"no",
		},
		{"a path with dots", asks("/open/../page", bearer...), 400, nil, "", ""},
		{"no path", asks("page"), 400, nil, "", "not a path"},
		{"two slashes", asks("//open/a"), 400, nil, "", ""},
		{"a user with an underscore", asks("/page", "remote_user", "eve"), 400, nil, "", "another spelling"},
		{"a header of nginx", asks("/page", "x-original-url", "/open/a"), 400, nil, "", "not of this proxy"},
		{"another path in the headers", asks("/page", ":path", "/open/a"), 400, nil, "", ":path differs"},
		{"another scheme in a header", asks("/page", "x-forwarded-proto", "http"), 400, nil, "", "differs"},
		{
			"a query outside of the path",
			with(asks("/page"), func(h *auth.AttributeContext_HttpRequest) { h.Query = "a=b" }),
			400,
			nil,
			"",
			"outside of the path",
		},
		{
			"another host",
			with(asks("/open/a", ":authority", "evil"), func(h *auth.AttributeContext_HttpRequest) { h.Host = "evil" }),
			421,
			nil,
			"",
			"no service has this url",
		},
		{
			"a header twice",
			with(asks("/open/a"), func(h *auth.AttributeContext_HttpRequest) {
				h.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{
					{Key: "x-forwarded-proto", RawValue: []byte("https")},
				}}
			}),
			400,
			nil,
			"",
			"more than once",
		},
		{
			"a cookie that no text can have",
			with(asks("/page", bearer[:2]...), func(h *auth.AttributeContext_HttpRequest) {
				h.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{
					{Key: "cookie", RawValue: []byte("a=\xff")},
				}}
			}),
			400,
			nil,
			"",
			"",
		},
		{
			"CONNECT",
			with(asks("/open/a", ":method", "CONNECT"), func(h *auth.AttributeContext_HttpRequest) {
				h.Method = "CONNECT"
			}),
			405,
			nil,
			"",
			"Method not allowed",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(s.Events())
			o := check(t, conn, tc.request)
			if o.status != tc.status || (o.code == codes.OK) != (tc.status == 0) || o.remove != tc.remove {
				t.Errorf("got %+v, want status %d and %q removed", o, tc.status, tc.remove)
			}
			if (tc.status == http.StatusUnauthorized) != (o.code == codes.Unauthenticated) {
				t.Errorf("got the code %v for the status %d", o.code, o.status)
			}
			for i := 0; i+1 < len(tc.want); i += 2 {
				if !strings.HasPrefix(o.headers[tc.want[i]], tc.want[i+1]) {
					t.Errorf("%s = %q, want %q", tc.want[i], o.headers[tc.want[i]], tc.want[i+1])
				}
			}

			var reasons []string
			for _, e := range s.Events()[before:] {
				reasons = append(reasons, strings.ToLower(e.Reason))
			}
			if !strings.Contains(strings.Join(reasons, "|"), strings.ToLower(tc.reason)) {
				t.Errorf("the audit log has %q, want one with %q", reasons, tc.reason)
			}
		})
	}
}

// TestOneRequestInEnvoyTakesOneUse asks about the same request again, and about others.
func TestOneRequestInEnvoyTakesOneUse(t *testing.T) {
	s, conn := start(t, "127.0.0.1")
	mine := s.AddToken(jetontest.NewToken{Name: "mine", User: "diane", Services: []string{"app"}})

	for i, tc := range []struct {
		id, header string
		want       int
	}{
		{"first-request", "", 0},
		{"first-request", "chosen-by-the-client", 0},
		{"chosen-by-the-client", "chosen-by-the-client", 0},
		{"chosen-by-the-client", "chosen-by-the-client", 403},
		{"third-request", "", 403},
	} {
		r := asks("/twice", "authorization", "Bearer "+mine.Secret, "x-request-id", tc.header)
		r = with(r, func(h *auth.AttributeContext_HttpRequest) {
			h.Id = tc.id
		})
		if o := check(t, conn, r); o.status != tc.want {
			t.Errorf("request %d: got %+v, want status %d", i+1, o, tc.want)
		}
	}
}

func TestAnInvalidCallIsDenied(t *testing.T) {
	_, conn := start(t, "127.0.0.1")
	var resp auth.CheckResponse
	err := conn.Invoke(t.Context(), auth.Authorization_Check_FullMethodName, wrapperspb.Bytes([]byte{0xff}), &resp)
	if o := outcomeOf(&resp); err != nil || o.status != http.StatusBadRequest || o.code != codes.PermissionDenied {
		t.Errorf("an invalid message: got %+v, %v, want it denied with 400", o, err)
	}

	big := asks("/open/a", "x", strings.Repeat("a", 256<<10))
	if o := check(t, conn, big); o.status != http.StatusBadRequest {
		t.Errorf("a message that is too long: got %+v, want 400", o)
	}

	_, conn = start(t, "192.0.2.1")
	if o := check(t, conn, asks("/open/a")); o.status != http.StatusForbidden {
		t.Errorf("a peer that is not trusted: got %+v, want 403", o)
	}
}

// TestOnlyACallOfGRPCGetsItsAnswer keeps another proxy from taking the status 200 of a refusal for yes.
func TestOnlyACallOfGRPCGetsItsAnswer(t *testing.T) {
	s, _ := start(t, "127.0.0.1")
	for _, method := range []string{"GET", "POST"} {
		a := s.Send(&http.Client{}, method, "http://"+s.Forward()+auth.Authorization_Check_FullMethodName, "",
			"Content-Type", "application/grpc")
		if a.Status < 400 {
			t.Errorf("%s over HTTP/1.1: got %d, want a refusal", method, a.Status)
		}
	}
}
