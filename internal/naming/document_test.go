package naming

import "testing"

func TestDocument(t *testing.T) {
	for _, tc := range []struct{ name, in, host string }{
		{"a document", "https://app.example.org/client.json", "app.example.org"},
		{"with a port", "https://app.example.org:8443/a/client", "app.example.org:8443"},
		{"of an IPv6 address", "https://[2001:db8::1]:8443/client", "[2001:db8::1]:8443"},
		{"a slash at the end", "https://app.example.org/client/", "app.example.org"},
		{"without TLS", "http://app.example.org/client", ""},
		{"a scheme in upper case", "HTTPS://app.example.org/client", ""},
		{"a host in upper case", "https://App.example.org/client", ""},
		{"the usual port", "https://app.example.org:443/client", ""},
		{"an empty port", "https://app.example.org:/client", ""},
		{"a port of letters", "https://app.example.org:https/client", ""},
		{"no host", "https:///client", ""},
		{"no path", "https://app.example.org", ""},
		{"the root", "https://app.example.org/", ""},
		{"a user name", "https://me@app.example.org/client", ""},
		{"a query", "https://app.example.org/client?a", ""},
		{"a fragment", "https://app.example.org/client#", ""},
		{"a dot segment", "https://app.example.org/./client", ""},
		{"a dot segment at the end", "https://app.example.org/client/..", ""},
		{"an encoded letter", "https://app.example.org/%63lient", ""},
		{"a tilde", "https://app.example.org/~me/client", ""},
		{"an umlaut", "https://app.example.org/clïent", ""},
		{"a space", "https://app.example.org/client ", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host, err := Document(tc.in)
			if (err == nil) != (tc.host != "") || err == nil && host != tc.host {
				t.Errorf("Document(%q) = %q, %v, want %q", tc.in, host, err, tc.host)
			}
			if _, err := Client(tc.in); err == nil {
				t.Errorf("Client(%q) accepts it, want an error", tc.in)
			}
			if got := ClientOfPath(ClientInPath(tc.in)); tc.host != "" && got != tc.in {
				t.Errorf("ClientOfPath(%q) = %q, want %q", ClientInPath(tc.in), got, tc.in)
			}
		})
	}

	if got := ClientInPath("wiki"); got != "wiki" || ClientOfPath(got) != "wiki" {
		t.Errorf("ClientInPath(wiki) = %q, want wiki", got)
	}
}
