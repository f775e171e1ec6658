package web

import (
	"html/template"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
)

// Notice is a page that a browser gets instead of the one that it asked for, or after a logout: what happened, and one
// thing to do.
type Notice struct {
	Kind    NoticeKind
	Service string        // that the browser asked for, or ""
	User    string        // who is signed in, or ""
	Link    string        // address of what to do, or ""
	Problem jeton.Problem // why, with the id of the request
	Wait    time.Duration // until trying again may succeed; 0: not known
}

// NoticeKind is which notice it is.
type NoticeKind string

// The kinds of notice.
const (
	// NoticeFailed says that a sign-in failed, for the reason in Problem. The link tries again.
	NoticeFailed NoticeKind = "failed"
	// NoticeForm says that a form was not sent, since no user is signed in. The link signs in.
	NoticeForm NoticeKind = "form"
	// NoticeFrame is shown inside another page. The link signs in, in place of that page.
	NoticeFrame NoticeKind = "frame"
	// NoticeLoop says that a sign-in was stopped, since its cookie did not come back. The link tries again.
	NoticeLoop NoticeKind = "loop"
	// NoticeRefused says that the user may not use the service. The link signs in as another user.
	NoticeRefused NoticeKind = "refused"
	// NoticeDenied says that a page is not shown to a user who is signed in, for the reason in Problem.
	NoticeDenied NoticeKind = "denied"
	// NoticeFactor says that the page requires two factors, and a sign-in showed one. The link adds a factor to the
	// account.
	NoticeFactor NoticeKind = "factor"
	// NoticeProof says that the page requires a newer proof of the user than the sign-in is. The link signs in again.
	NoticeProof NoticeKind = "proof"
	// NoticeClient says that an authorization request is invalid, so that it leads nowhere.
	NoticeClient NoticeKind = "client"
	// NoticeSignOut says that a request of a client to sign the user out is invalid. The link signs out.
	NoticeSignOut NoticeKind = "sign-out"
	// NoticeSignedOut says that the session at a service has ended. The link signs in again.
	NoticeSignedOut NoticeKind = "signed-out"
)

// Notices writes a notice with a status. The caller has set the headers of the refusal.
type Notices func(w *Reply, r *http.Request, status int, n Notice)

// noticeTexts has the title, the text and the link of each kind.
var noticeTexts = map[NoticeKind][3]string{
	NoticeFailed: {"The sign-in failed", "The server did not accept the sign-in.", "Try again"},
	NoticeForm:   {"Sign in and try again", "The form was not sent, because you are not signed in.", "Sign in"},
	NoticeFrame:  {"Sign in", "You are not signed in. The sign-in page does not open inside another page.", "Sign in"},
	NoticeLoop: {
		"The sign-in does not come to an end",
		"You signed in three times, and each time your browser came back without the cookie of the sign-in. " +
			"Allow cookies for this site, and use the address that its operator names.",
		"Try again",
	},
	NoticeRefused: {"You may not use this service", "It does not accept your account.", "Use another account"},
	NoticeDenied:  {"This page is not shown", "Ask an administrator with the number of the request.", ""},
	NoticeFactor: {
		"This page needs a stronger sign-in",
		"It asks for a second factor. Add a passkey or an authenticator app to your account. Then open the page again.",
		"Add a second factor",
	},
	NoticeProof: {
		"This page needs a newer sign-in",
		"It asks for a newer sign-in with your password or passkey. Sign in again.",
		"Sign in again",
	},
	NoticeClient:    {"This sign-in link is not valid", "Go back to the application and try again.", ""},
	NoticeSignOut:   {"This sign-out link is not valid", "You are still signed in.", "Sign out"},
	NoticeSignedOut: {"You are signed out", "Your session has ended.", "Sign in again"},
}

// plainNotice has no style, so that it needs nothing from the server.
var plainNotice = template.Must(template.New("notice").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{index .Texts 0}}</title>
</head>
<body>
<main>
<h1>{{index .Texts 0}}</h1>
<p>{{index .Texts 1}}</p>
{{- with .Problem.Detail}}
<p>{{.}}</p>
{{- end}}
{{- with .User}}
<p>Signed in as {{.}}</p>
{{- end}}
{{- with .Link}}
<p><a href="{{.}}" target="_top">{{index $.Texts 2}}</a></p>
{{- end}}
{{- with .Problem.Request}}
<p>Request {{.}}</p>
{{- end}}
</main>
</body>
</html>
`))

// PlainNotice is a Notices in English without style.
func PlainNotice(w *Reply, _ *http.Request, status int, n Notice) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)

	_ = plainNotice.Execute(w, struct {
		Notice
		Texts [3]string
	}{n, noticeTexts[n.Kind]}) // a client that has gone gets less
}
