package pages

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/jeton-auth/jeton/internal/web"
)

// apiPath is where the API is.
const apiPath = "/api/v1"

// call calls the API. See Caller.
func (p *Pages) call(w *web.Reply, r *http.Request, method, path string, query url.Values, in, out any) error {
	return p.API.Call(w, r, method, pathWith(apiPath+path, query), in, out)
}

// list reads a page of a list of the API: kept are its filters, and shown is the cursor of the page, or "" for the
// first. It returns the cursor of the next page, or "" on the last.
func (p *Pages) list(
	w *web.Reply,
	r *http.Request,
	path string,
	kept url.Values,
	shown string,
	out any,
) (next string, err error) {
	return p.listOf(w, r, pathWith(apiPath+path, with(kept, "limit", strconv.Itoa(adminPageSize))), shown, out)
}

// listOf is list for a target of the API, with its filters and the size of a page.
func (p *Pages) listOf(w *web.Reply, r *http.Request, target, shown string, out any) (next string, err error) {
	if shown != "" {
		target += "&cursor=" + url.QueryEscape(shown)
	}

	target, err = p.API.Page(w, r, target, out)
	if err != nil || target == "" {
		return "", err
	}

	u, err := url.Parse(target)
	if err != nil {
		return "", err
	}

	return u.Query().Get("cursor"), nil
}

// with returns a copy of a query with one more parameter.
func with(query url.Values, name, value string) url.Values {
	all := url.Values{name: {value}}
	for other, values := range query {
		all[other] = values
	}

	return all
}
