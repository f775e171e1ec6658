package pages

import (
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// outcomeText returns why something was refused, in a few words beside the event. The log and the API have
// codes, which are no words for users.
func outcomeText(action, code string) Text {
	switch {
	case action == audit.Login && code == jeton.Code(jeton.ErrBadCredential):
		return text("activity.wrong-login")
	case code != jeton.CodeInternal && jeton.FromCode(code) == nil:
		return text("activity.other", Code(code)) // of a newer server
	}

	return text("outcome." + code)
}

// targetText returns what something was done to, in words. Requests stand as they are.
func targetText(target string) Text {
	if target == "" {
		return Text{}
	}
	if target == "all sessions" {
		return text("admin.target.all-sessions")
	}

	kind, name, _ := strings.Cut(target, ":")
	switch kind {
	case "user":
		return text("admin.target.user", Strong(name))
	case "client":
		return text("admin.target.client", Strong(name))
	case "session":
		return text("admin.target.session", Code(name))
	case "token":
		return text("admin.target.token", Code(name))
	case "invitation":
		return text("admin.target.invitation", Code(name))
	case "key":
		return text("admin.target.key", Code(name))
	}

	return text("admin.target.other", Code(target))
}
