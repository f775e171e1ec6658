package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// noticeView is the view of sign-in/notice.
type noticeView struct {
	Title   Text
	Text    Text
	Detail  string // of the server, in English
	User    string // who is signed in, or ""
	Request string
	Link    *Link
}

// newNotice returns the view of a notice.
func newNotice(n web.Notice, now time.Time) noticeView {
	v := noticeView{
		Detail:  n.Problem.Detail,
		User:    n.User,
		Request: n.Problem.Request,
	}

	again := text("notice.again")
	switch n.Kind {
	case web.NoticeForm:
		v.Title, v.Text = text("notice.form"), text("notice.form.do")
		v.Detail = ""
		again = text("error.sign-in")
	case web.NoticeFrame:
		v.Title, v.Text = text("notice.frame"), text("notice.frame.do", Strong(n.Service))
		v.Detail = ""
		again = text("error.sign-in")
	case web.NoticeLoop:
		v.Title, v.Text = text("notice.loop"), text("notice.loop.do")
	case web.NoticeRefused:
		v.Title, v.Text = text("notice.refused"), text("notice.refused.do", Strong(n.Service))
		again = text("choose.other")
	case web.NoticeDenied:
		v.Title, v.Text = text("error."+n.Problem.Code), text("error."+n.Problem.Code+".do")
	case web.NoticeFactor:
		v.Title, v.Text = text("notice.factor"), text("notice.factor.do", Strong(n.Service))
		v.Detail = ""
		again = text("notice.factor.add")
	case web.NoticeProof:
		v.Title, v.Text = text("notice.proof"), text("notice.proof.do", Strong(n.Service))
		v.Detail = ""
		again = text("notice.signed-out.again")
	case web.NoticeClient:
		v.Title, v.Text = text("notice.client"), text("notice.client.do")
	case web.NoticeSignOut:
		v.Title, v.Text = text("notice.sign-out"), text("notice.sign-out.do")
		again = text("sign-out.button")
	case web.NoticeSignedOut:
		v.Title, v.Text = text("notice.signed-out"), text("notice.signed-out.do", Strong(n.Service))
		again = text("notice.signed-out.again")
	default:
		v.Title, v.Text = whyFailed(n, now)
	}

	if n.Link != "" {
		v.Link = &Link{Text: again, URL: n.Link}
	}

	return v
}

// whyFailed returns why a sign-in failed, and what to do: for the terms of the service, only waiting or a sign-out
// elsewhere helps.
func whyFailed(n web.Notice, now time.Time) (title, do Text) {
	code := n.Problem.Code
	for _, err := range []error{jeton.ErrRelogin, jeton.ErrSessionsFull, jeton.ErrBusy, jeton.ErrUnavailable} {
		if code != jeton.Code(err) {
			continue
		}

		title, do = text("error."+code), text("error."+code+".do")
		if n.Wait > 0 {
			do = text("error.wait", now.Add(n.Wait), n.Wait)
		}

		return title, do
	}

	return text("notice.failed"), text("notice.failed.do")
}

// Notice implements web.Notices for the authorization server and for services. At a service the page can load nothing
// of ours, so its style is in it, and the policy names the hash of that style.
func (p *Pages) Notice(w *web.Reply, r *http.Request, status int, n web.Notice) {
	l := p.language(r)
	body, err := p.render(l, "sign-in/notice", frame{
		Lang:    l.code,
		Brand:   p.Issuer.Brand,
		Assets:  p.assets,
		Section: sectionSignIn,
		Inline:  true,
		View:    newNotice(n, w.Start),
	})
	if err != nil {
		web.PlainNotice(w, r, status, n)
		return
	}

	h := w.Header()
	setHeaders(h, sectionSignIn)

	sum := sha256.Sum256(p.assets.style)
	csp := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'"

	// One kind is for a frame. It has a link out of it and nothing else to click on.
	if n.Kind == web.NoticeFrame {
		h.Del("X-Frame-Options")
		h.Del("Cross-Origin-Resource-Policy")
	} else {
		csp += "; frame-ancestors 'none'"
	}

	h.Set("Content-Security-Policy", csp)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
