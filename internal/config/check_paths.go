package config

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// bypasses warns of rules that some requests bypass if the upstreams of a service read paths in
// a way that the file neither declares nor rules out. It names one rule for each key.
func (c checker) bypasses(s *Service) {
	for _, key := range []struct {
		field   *string
		lenient string // the value of the other reading
		other   func(path string) string
	}{
		{&s.Paths.Case, "insensitive", strings.ToUpper},
		{&s.Paths.Slash, "ignored", otherSlash},
	} {
		if c.Has(key.field) {
			continue
		}

		for i := range s.Routes {
			path, by := s.bypass(i, key.other)
			if by < 0 {
				continue
			}

			c.conf.Warnings = append(c.conf.Warnings, c.At(&s.Routes[i].Match, fmt.Sprintf(
				"%s judges %s; an upstream that reads it as a path of this rule bypasses the rule: "+
					"set upstream_paths.%s to %s, or to %s if it does not",
				yamlread.Index("routes", by),
				path,
				c.key(key.field),
				key.lenient,
				*key.field,
			)))

			break
		}
	}
}

// key returns the last part of the path of a field.
func (c checker) key(field any) string {
	path := c.Path(field)
	return path[strings.LastIndexByte(path, '.')+1:]
}

// otherSlash returns a path with a slash at its end, or without the one that it has.
func otherSlash(path string) string {
	without, found := strings.CutSuffix(path, "/")
	if found {
		return without
	}
	return path + "/"
}

// bypass returns a spelling of a path of route i that a weaker rule judges, and the index of
// that rule, or -1 if there is none.
func (s *Service) bypass(i int, other func(path string) string) (path string, by int) {
	r := &s.Routes[i]
	if r.Upstream == nil {
		return "", -1
	}

	mux, index := s.mux()
	method, sample := r.sample()
	path = other(sample)

	forms, err := s.Paths.Reading().Canonical(path)
	if err != nil {
		return "", -1
	}
	u, err := url.ParseRequestURI(forms[0])
	if err != nil {
		return "", -1
	}

	_, pattern := mux.Handler(&http.Request{Method: method, URL: u})
	by, found := index[pattern]
	if !found || by == i || s.Routes[by].Upstream == nil || !s.Routes[by].weakerThan(r) {
		return "", -1
	}

	return path, by
}

// mux returns a mux with the routes of a service, and the route of each of its patterns.
func (s *Service) mux() (*http.ServeMux, map[string]int) {
	mux := http.NewServeMux()
	index := map[string]int{}
	for i := range s.Routes {
		pattern, err := s.Paths.Reading().Pattern(s.Routes[i].Match)
		if err == nil && register(mux, pattern) == "" {
			index[pattern] = i
		}
	}

	return mux, index
}

// sample returns the method and the path of a request that matches a route.
func (r *Route) sample() (method, path string) {
	method, path, found := strings.Cut(r.Match, " ")
	if !found {
		method, path = http.MethodGet, r.Match
	}

	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case s == "{$}":
			segments[i] = ""
		case strings.HasPrefix(s, "{"):
			segments[i] = "x"
		}
	}

	return method, strings.Join(segments, "/")
}

// weakerThan reports whether a route admits a request that other would refuse or count.
func (r *Route) weakerThan(other *Route) bool {
	if other.Open {
		return false
	}

	missing := func(scope string) bool { return !slices.Contains(r.Scopes, scope) }
	return r.Open ||
		other.Allow != nil && !other.Allow.equal(r.Allow) ||
		slices.ContainsFunc(other.Scopes, missing) ||
		other.MaxUses != nil ||
		other.Audit && !r.Audit ||
		!slices.Equal(other.Accept, r.Accept)
}

// equal reports whether two lists allow the same callers.
func (a *Allow) equal(b *Allow) bool {
	return b != nil &&
		slices.Equal(a.Users, b.Users) &&
		slices.Equal(a.Groups, b.Groups) &&
		slices.Equal(a.Clients, b.Clients)
}
