package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/palette"
	"github.com/jeton-auth/jeton/internal/web"
)

// signInSession checks that the terms of sign-in sessions fit together.
func (c checker) signInSession(s *SignInSession) {
	if s.IdleTimeout > s.Lifetime && c.Valid(&s.Lifetime) {
		c.Fault(
			&s.IdleTimeout, "%v is longer than lifetime %v; shorten it, or raise lifetime",
			s.IdleTimeout, s.Lifetime,
		)
	}
}

// brand checks the look of the pages.
func (c checker) brand(b *Brand) {
	c.notEmpty(&b.Name)

	accent, ok := c.accent(&b.Accent, "light", palette.Light)
	if ok && !c.Has(&b.AccentDark) {
		b.AccentDark = palette.DarkAccent(accent).String()
	}
	c.accent(&b.AccentDark, "dark", palette.Dark)

	if c.Has(&b.HelpURL) && !isLink(b.HelpURL) {
		c.Invalid(&b.HelpURL, "address", b.HelpURL, "one that begins with https:// or mailto:")
	}

	lower := strings.ToLower(b.Logo)
	if c.Has(&b.Logo) && !strings.HasSuffix(lower, ".svg") && !strings.HasSuffix(lower, ".png") {
		c.Invalid(&b.Logo, "logo", b.Logo, "a file whose name ends in .svg or .png")
	}
}

// accent checks a colour that text has, and that text is on.
func (c checker) accent(text *string, kind string, scheme func(palette.Colour) palette.Scheme) (palette.Colour, bool) {
	if *text == "" && !c.Has(text) {
		return palette.Colour{}, false // it follows from one that is invalid
	}

	accent, err := palette.Parse(*text)
	if err != nil {
		c.Invalid(text, "colour", *text, "one such as #0f5c55")
		return palette.Colour{}, false
	}

	ratio := scheme(accent).AccentContrast()
	if ratio < palette.Text {
		change := map[string]string{"light": "darker", "dark": "lighter"}[kind]
		c.Fault(
			text, "%s has a contrast of %.2f:1 on %s screens, want at least %.1f:1; choose a %s colour",
			*text, ratio, kind, palette.Text, change,
		)
	}

	return accent, true
}

// isLink reports whether text is an address that a page may link to.
func isLink(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}

	return u.Scheme == "mailto" && u.Opaque != "" || (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// pagePathsOf reports the paths of a service that the pages of the authorization server take over,
// because both have the same address and host name.
func (c checker) pagePathsOf(s *Service) {
	issuer := c.conf.Issuer
	if issuer == nil || !issuer.Pages || !issuer.sharesHost(s) {
		return
	}

	check := func(field *string) {
		// A pattern may begin with a method.
		_, path, _ := strings.Cut(*field, "/")
		if IsPagePath("/" + path) {
			c.Fault(
				field,
				"%s belongs to the pages of the authorization server, which has the same address: "+
					"choose another path, give issuer a host or an address of its own, or set issuer.pages: false",
				yamlread.Quote(*field),
			)
		}
	}

	for i := range s.Login.Paths {
		check(&s.Login.Paths[i])
	}
	check(&s.Login.Token)
	check(&s.Logout)

	for i := range s.Routes {
		check(&s.Routes[i].Match)
	}
	if s.UsersAPI != nil {
		check(&s.UsersAPI.Prefix)
	}
	if s.Teaching != nil {
		check(&s.Teaching.AssertionLogin)
		check(&s.Teaching.Register)
	}
}

// sharesHost reports whether some requests to an address could be for the service as well as for
// the authorization server.
func (i *Issuer) sharesHost(s *Service) bool {
	// The system chooses a port for each port 0, so equal texts are different addresses.
	if !strings.EqualFold(i.Listen, s.Listen) || strings.HasSuffix(i.Listen, ":0") {
		return false
	}
	if i.Host == "" || s.Host == "" {
		return i.Host == s.Host
	}

	hosts := []string{web.Hostname(i.Host)}
	u, err := url.Parse(i.URL)
	if err == nil {
		hosts = append(hosts, web.Hostname(u.Host))
	}

	for _, host := range append([]string{s.Host}, s.Hosts...) {
		if slices.Contains(hosts, web.Hostname(host)) {
			return true
		}
	}

	return false
}
