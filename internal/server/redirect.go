package server

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/web"
)

// redirectName names the listener that sends browsers to https.
const redirectName = "redirect"

// secureAddresses are the addresses with TLS of a configuration, by host name. With port 0 they are known only when the
// listeners are open. It is safe for concurrent use.
type secureAddresses struct {
	list atomic.Pointer[map[string]string]
}

// set makes the addresses those of a configuration. bound has the port of each listener. Of two services with one host
// name, the first has it.
func (t *secureAddresses) set(conf *config.Config, bound map[string]string) {
	list := map[string]string{}
	add := func(name, origin string) {
		if list[name] == "" {
			list[name] = origin
		}
	}

	for _, s := range conf.Services {
		public, err := url.Parse(s.URL)
		switch {
		case s.URL != "" && err == nil && public.Scheme == "https":
			add(web.Hostname(public.Host), "https://"+public.Host)
		case s.URL == "" && !s.PlainHTTP:
			for _, name := range s.HostNames() {
				add(web.Hostname(name), web.OriginOf("https", name, bound[listenKey(s.Listen, s.Name)]))
			}
		}
	}

	issuer := conf.Issuer
	if issuer != nil && !issuer.PlainHTTP {
		public, err := url.Parse(issuer.URL)
		if err == nil && public.Port() != "0" {
			add(web.Hostname(public.Host), "https://"+public.Host)
		} else if err == nil {
			port := bound[listenKey(issuer.Listen, oauth.Name)]
			add(web.Hostname(public.Host), web.OriginOf("https", public.Hostname(), port))
		}
	}

	t.list.Store(&list)
}

// answer sends a browser to the same path at the address with TLS of its host name. Other names are refused, and so is
// what is not a page: a program that sends a password without TLS must notice, and gets no help.
func (t *secureAddresses) answer(w *web.Reply, r *http.Request) {
	err := web.CheckTarget(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}

	list := t.list.Load()
	if list == nil || (*list)[web.Hostname(r.Host)] == "" {
		web.Fail(w, r, jeton.ErrMisdirected)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		web.Fail(w, r, jeton.WithDetail(jeton.ErrForbidden, "this address has no TLS: send the request to https://"))
		return
	}

	target := web.RawPath(r.URL)
	if !strings.HasPrefix(target, "/") {
		target = "/" + target // of an address without a path
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + r.URL.RawQuery
	}

	w.Header().Set("Location", (*list)[web.Hostname(r.Host)]+target)
	w.WriteHeader(http.StatusPermanentRedirect)
}

// planRedirect builds the listener that sends browsers to https.
func (s *Server) planRedirect(conf *config.Config) *planned {
	return &planned{
		listen: conf.Redirect.Listen,
		front: &front{
			redirect: &s.addresses,
			ordered:  s.ordered,
			pace:     conf.Limits.Pace(),
			proxies:  proxies(conf),
			now:      s.c.Now,
			log:      s.c.Log,
			requests: conf.Log.Requests,
			lines:    s.requestLog(conf),
		},
	}
}
