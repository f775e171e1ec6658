#!/bin/sh
# Builds the programs that no distribution has in the version to test, once: Caddy 2.11.9,
# oauth2-proxy 7.15.6, Traefik 3.7.13 and Mailpit 1.33.1, a mail server, from the module proxy of
# Go. It prints the folder with them. Run by 'make soak'; it takes minutes, and gigabytes of the build cache.
set -eu

caddy=2.11.9
oauth2=7.15.6
traefik=3.7.13
mailpit=1.33.1
dir=${JETON_PROXIES:-${XDG_CACHE_HOME:-$HOME/.cache}/jeton-proxies}
mkdir -p "$dir"
cd "$dir"

# Each is renamed when it is complete.
if [ ! -x caddy-$caddy ]; then
	GOBIN=$dir/bin GOFLAGS=-mod=mod go install github.com/caddyserver/caddy/v2/cmd/caddy@v$caddy >&2
	mv bin/caddy caddy-$caddy
fi
if [ ! -x oauth2-proxy-$oauth2 ]; then
	GOBIN=$dir/bin GOFLAGS=-mod=mod go install github.com/oauth2-proxy/oauth2-proxy/v7@v$oauth2 >&2
	mv bin/oauth2-proxy oauth2-proxy-$oauth2
fi

if [ ! -x mailpit-$mailpit ]; then
	GOBIN=$dir/bin GOFLAGS=-mod=mod go install github.com/axllent/mailpit@v$mailpit >&2
	mv bin/mailpit mailpit-$mailpit
fi

# Traefik cannot be installed: its module replaces others. Those that do not matter here, and
# that need modules which cannot be had, are empty: the names of DNS providers, and Basic and
# Digest authentication.
build_traefik() {
	rm -rf traefik.tmp
	mkdir -p traefik.tmp/ext traefik.tmp/auth
	cd traefik.tmp

	cat >ext/go.mod <<-'END'
		module github.com/traefik/traefik/dynamic/ext
	END
	cat >ext/ext.go <<-'END'
		package ext

		type HTTP struct{}

		func (*HTTP) DeepCopyInto(*HTTP) {}

		type Router struct{}

		func (*Router) DeepCopyInto(*Router) {}
	END

	cat >auth/go.mod <<-'END'
		module github.com/abbot/go-http-auth
	END
	cat >auth/auth.go <<-'END'
		package auth

		import "net/http"

		type SecretProvider func(user, realm string) string

		type BasicAuth struct {
			Realm   string
			Secrets SecretProvider
		}

		func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }

		func CheckSecret(string, string) bool { return false }

		type DigestAuth struct{}

		func NewDigestAuthenticator(string, SecretProvider) *DigestAuth { return &DigestAuth{} }

		func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

		func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }

		func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }

		func DigestAuthParams(string) map[string]string { return nil }
	END

	modules=$(go env GOMODCACHE)
	go mod download github.com/traefik/traefik/v3@v$traefik github.com/go-acme/lego/v5@v5.4.1 >&2
	cp -r "$modules/github.com/go-acme/lego/v5@v5.4.1" lego
	chmod -R u+w lego
	rm -rf lego/providers/dns
	mkdir lego/providers/dns
	cat >lego/providers/dns/dns.go <<-'END'
		package dns

		import (
			"errors"

			"github.com/go-acme/lego/v5/challenge"
		)

		func NewDNSChallengeProviderByName(string) (challenge.Provider, error) {
			return nil, errors.New("no provider")
		}
	END

	mux=$(sed -n 's/.*gorilla\/mux => //p' "$modules/github.com/traefik/traefik/v3@v$traefik/go.mod")
	cat >go.mod <<-END
		module traefik

		go 1.26.0

		require github.com/traefik/traefik/v3 v$traefik

		replace github.com/traefik/traefik/dynamic/ext => ./ext
		replace github.com/go-acme/lego/v5 => ./lego
		replace github.com/abbot/go-http-auth => ./auth
		replace github.com/gorilla/mux => $mux
	END
	GOFLAGS=-mod=mod go build -o ../traefik-$traefik.tmp github.com/traefik/traefik/v3/cmd/traefik >&2
	cd ..
	mv traefik-$traefik.tmp traefik-$traefik
	rm -rf traefik.tmp
}
[ -x traefik-$traefik ] || build_traefik

echo "$dir"
