package pages

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
)

// formReader reads fields, and marks those that are wrong. The first of them gets the focus.
type formReader struct{ failed bool }

// refuse marks a field.
func (f *formReader) refuse(field *Field, why Text) {
	field.Error = why
	field.Invalid = true
	field.Focus = !f.failed
	f.failed = true
}

// read reads the form of a new token. If it returns false, what is wrong is marked in the view.
func (v *tokenFormView) read(typed url.Values, now time.Time) (tokenRequest, bool) {
	var f formReader
	in := tokenRequest{
		Name:     strings.TrimSpace(typed.Get("name")),
		Services: typed["service"],
		Scopes:   typed["scope"],
	}

	if in.Name == "" {
		f.refuse(&v.Name, text("new-token.name.missing"))
	}
	if len(in.Services) == 0 {
		v.Services.Error, v.Services.Focus = text("new-token.services.missing"), !f.failed
		f.failed = true
	}

	in.Expires = f.end(&v.Until, typed.Get("lasts"), now)
	in.MaxUses = f.uses(&v.Uses)
	in.Allows = f.lines(&v.Allows.Field, isRule, text("new-token.allows.bad"))
	in.Networks = f.lines(&v.Networks.Field, isNetwork, text("new-token.networks.bad"))
	v.More = v.More || v.Allows.Invalid || v.Networks.Invalid

	return in, !f.failed
}

// end returns when a token expires: after the lifetime that was chosen, or at the end of a day.
func (f *formReader) end(until *Field, chosen string, now time.Time) time.Time {
	for _, l := range lifetimes {
		if l.value == chosen {
			return now.Add(l.lasts)
		}
	}

	at, err := time.Parse(time.DateOnly, until.Value)
	end := at.Add(day)
	if chosen != untilDate || err != nil || !now.Before(end) || end.Sub(now) > token.MaxPersonal {
		f.refuse(until, text("new-token.until.bad", int64(token.MaxPersonal/day)))
		return time.Time{}
	}

	return end
}

// uses returns how many requests a token is valid for; 0: they are not counted.
func (f *formReader) uses(field *Field) int64 {
	typed := strings.TrimSpace(field.Value)
	if typed == "" {
		return 0
	}

	n, err := strconv.ParseInt(typed, 10, 64)
	if err != nil || n < 1 {
		f.refuse(field, text("new-token.uses.bad"))
		return 0
	}

	return n
}

// lines returns the lines of a field that are not empty. Each of them has to be valid.
func (f *formReader) lines(field *Field, valid func(string) bool, why Text) []string {
	var list []string
	for line := range strings.Lines(field.Value) {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" {
			continue
		}

		if !valid(line) && !field.Invalid {
			why.Args = []any{Code(line)}
			f.refuse(field, why)
		}
		list = append(list, line)
	}

	return list
}

// isRule reports whether a text is a method and a path, such as GET /reports/*.
func isRule(text string) bool {
	_, err := policy.ParseRule(text)
	return err == nil
}

// isNetwork reports whether a text is an address or a network.
func isNetwork(text string) bool {
	_, err := netip.ParseAddr(text)
	if err != nil {
		_, err = netip.ParsePrefix(text)
	}

	return err == nil
}
