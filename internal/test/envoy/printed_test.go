package envoy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	early "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/jeton-auth/jeton/internal/forward"
)

// described is a service as the command describes it.
func described(scheme, jeton string, aliases ...forward.Alias) forward.Proxied {
	return forward.Proxied{
		Service: "app",
		Scheme:  scheme,
		Host:    "app.example",
		Port:    ":8444",
		Listen:  "8444",
		Jeton:   jeton,
		Backend: "127.0.0.1:3000",
		Own:     []string{"/logout"},
		Aliases: aliases,
	}
}

// TestEnvoyReadsThePrintedConfiguration reads it into the messages of Envoy, which know each field, and validates it by
// their rules.
func TestEnvoyReadsThePrintedConfiguration(t *testing.T) {
	aliases, err := forward.AliasesOf("oauth2-proxy")
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name  string
		p     forward.Proxied
		found cluster.Cluster_DiscoveryType
	}{
		{"with TLS and a socket", described("https", "unix:/run/jeton/forward.sock"), cluster.Cluster_STATIC},
		{"without TLS", described("http", "127.0.0.1:9080"), cluster.Cluster_STATIC},
		{"with other names", described("https", "jeton.internal:9080", aliases...), cluster.Cluster_STRICT_DNS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := read(t, tc.p)
			if got := b.GetStaticResources().GetClusters()[0].GetType(); got != tc.found {
				t.Errorf("the address of Jeton is found by %v, want %v", got, tc.found)
			}
			checkManager(t, managerOf(t, b), tc.p)
		})
	}
}

// read returns the printed configuration as Envoy reads it, and validates every message in it.
func read(t *testing.T, p forward.Proxied) *bootstrap.Bootstrap {
	t.Helper()
	text, err := forward.Configuration("envoy", p)
	if err != nil {
		t.Fatal(err)
	}

	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	form, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}

	b := &bootstrap.Bootstrap{}
	if err := protojson.Unmarshal(form, b); err != nil { // unknown fields are errors
		t.Fatalf("%v in\n%s", err, text)
	}
	if err := b.ValidateAll(); err != nil {
		t.Errorf("Validate = %v", err)
	}

	return b
}

// unpack returns the message in a typed_config.
func unpack[M interface {
	proto.Message
	ValidateAll() error
}](t *testing.T, packed *anypb.Any, to M) M {
	t.Helper()
	if err := packed.UnmarshalTo(to); err != nil {
		t.Fatal(err)
	}
	if err := to.ValidateAll(); err != nil {
		t.Errorf("Validate = %v", err)
	}

	return to
}

// managerOf returns the filter that serves the service.
func managerOf(t *testing.T, b *bootstrap.Bootstrap) *manager.HttpConnectionManager {
	t.Helper()
	filters := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()

	return unpack(t, filters[0].GetTypedConfig(), &manager.HttpConnectionManager{})
}

// checkManager checks that nothing passes that Jeton has not judged, and no header of a client that says who it is.
func checkManager(t *testing.T, m *manager.HttpConnectionManager, p forward.Proxied) {
	t.Helper()
	underscores := m.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction().String()
	slashes := m.GetPathWithEscapedSlashesAction().String()
	if underscores != "REJECT_REQUEST" || slashes != "REJECT_REQUEST" || m.GetMergeSlashes() {
		t.Errorf("underscores %s, slashes %s, want both rejected, and paths as they are", underscores, slashes)
	}
	if !m.GetUseRemoteAddress().GetValue() {
		t.Error("the address of the client is what it says of it")
	}

	asks := unpack(t, m.GetHttpFilters()[0].GetTypedConfig(), &authz.ExtAuthz{})
	to := asks.GetGrpcService().GetEnvoyGrpc().GetClusterName()
	if to != "jeton_app" || asks.GetFailureModeAllow() || !asks.GetEncodeRawHeaders() {
		t.Errorf("ext_authz = %v, want every header sent to Jeton, and nothing let in if it fails", asks)
	}

	removes := unpack(t, m.GetEarlyHeaderMutationExtensions()[0].GetTypedConfig(), &early.HeaderMutation{})
	var removed []string
	for _, one := range removes.GetMutations() {
		removed = append(removed, one.GetRemove())
	}
	for _, name := range []string{
		"remote-user", "remote-groups", "jeton-assertion", "x-forwarded-host", "x-forwarded-uri", "x-original-url",
		"forwarded", "x-auth-request-user", "x-authentik-username", "x-http-method-override",
	} {
		if !slices.Contains(removed, name) {
			t.Errorf("the client's %s is not removed", name)
		}
	}

	checkRoutes(t, m.GetRouteConfig(), p)
}

// checkRoutes checks that only the pages of Jeton pass unasked, and lead to it.
func checkRoutes(t *testing.T, c *route.RouteConfiguration, p forward.Proxied) {
	t.Helper()
	if n := len(c.GetVirtualHosts()); n != 1 {
		t.Fatalf("%d virtual hosts, want that of the service", n)
	}

	var unasked []string
	for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
		packed := r.GetTypedPerFilterConfig()["envoy.filters.http.ext_authz"]
		if packed == nil {
			continue
		}
		unasked = append(unasked, r.GetMatch().GetPrefix()+r.GetMatch().GetPath())
		per := unpack(t, packed, &authz.ExtAuthzPerRoute{})
		if !per.GetDisabled() || r.GetRoute().GetCluster() != "jeton_app" {
			t.Errorf("%v passes unasked to %s, want to Jeton", r.GetMatch(), r.GetRoute().GetCluster())
		}
	}
	if got := strings.Join(unasked, " "); got != "/.jeton/ /logout" {
		t.Errorf("unasked pass %q, want /.jeton/ and /logout", got)
	}

	var added []string
	for _, h := range c.GetRequestHeadersToAdd() {
		added = append(added, h.GetHeader().GetKey()+" "+h.GetAppendAction().String())
	}
	named := slices.Contains(added, "X-Auth-Request-User OVERWRITE_IF_EXISTS_OR_ADD")
	if named != (len(p.Aliases) > 0) {
		t.Errorf("added are %q, want the names of the other product: %t", added, len(p.Aliases) > 0)
	}
}
