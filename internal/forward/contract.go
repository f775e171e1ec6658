package forward

import (
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// contract is how one kind of proxy asks at its endpoint, and what it can make of the answer.
type contract struct {
	path    string
	headers []string // the deciding headers that the proxy sends, each once
	read    func(r *http.Request, a *asked) error
	answer  func(w, inner *web.Reply, v *verdict)
}

// contracts are the kinds of proxies.
var contracts = []contract{
	{
		path:    Prefix + "nginx",
		headers: []string{headerOriginalURL, headerOriginalMethod, headerFor},
		read:    readNginx,
		answer:  answerNginx,
	},
}

// contractAt returns the contract of a path, and whether it has one.
func contractAt(path string) (contract, bool) {
	for _, c := range contracts {
		if c.path == path {
			return c, true
		}
	}
	return contract{}, false
}

// readNginx reads the request that auth_request of nginx asks about: X-Original-URL has its scheme, host and target.
func readNginx(r *http.Request, a *asked) error {
	a.method = r.Header.Get(headerOriginalMethod)

	scheme, rest, ok := strings.Cut(r.Header.Get(headerOriginalURL), "://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 0 {
		return jeton.WithDetail(jeton.ErrInvalid, "X-Original-URL is not scheme://host/path")
	}

	a.scheme = scheme
	a.host, a.target = rest[:slash], rest[slash:]

	return nil
}
