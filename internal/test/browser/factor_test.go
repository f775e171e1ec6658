package browser

import (
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestSecondFactor adds an authenticator app, signs in with it, and replaces it with a recovery code.
func TestSecondFactor(t *testing.T) {
	tool := need.Program(t, "oathtool")
	var ahead atomic.Int64 // seconds: a code is used once
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Second) }

	issuer := freePort(t)
	w := newNode(
		t, "", newUpstream(t), jetontest.Env("ISSUER_PORT", issuer), jetontest.Env("LISTEN_PORT", issuer),
		jetontest.Clock(now),
	)
	w.AddUser("diane", passphrase)

	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)

	// The code of the next half minute is good for a minute at least, however busy the machine is.
	code := func(key string) string {
		t.Helper()
		at := strconv.FormatInt(now().Unix()+30, 10)
		out, err := exec.CommandContext(t.Context(), tool, "--totp", "--base32", "--now=@"+at, key).Output()
		if err != nil {
			t.Fatal(err)
		}

		return strings.TrimSpace(string(out))
	}
	const shownKey = "document.querySelector('main div + p code').textContent"
	send := func(text string) {
		t.Helper()
		p.Fill("input[name=code]", text)
		p.Press("Enter")
	}

	w.account(p, "diane")
	p.Open(w.issuer + "/account/security")
	p.Click("form[action='/account/security/app'] button")
	p.Wait("document.querySelector('main svg.qr') && document.readyState === 'complete'")
	w.inspect(p, "factor-app")
	key := Value[string](p, shownKey)
	send(code(key))
	p.Wait("document.querySelectorAll('ol.codes li').length === 10 && document.readyState === 'complete'")
	w.inspect(p, "factor-codes")
	recovery := Value[string](p, "document.querySelector('ol.codes code').textContent")

	a := p.Authenticator()
	w.addKey(p, "laptop")
	a.Present(false) // the autofill must not sign in
	p.Open(w.issuer + "/account/security")
	p.Click("form[action='/account/security/connect/guild'] button")
	p.Wait("document.querySelector('form[action$=\"/disconnect\"]') && document.readyState === 'complete'")
	w.inspect(p, "full-account-security")

	ahead.Add(120)
	w.signOut(p)
	p.Open(w.issuer + "/account")
	w.signIn(p, "diane")
	p.Wait("location.pathname === '/sign-in/factor' && document.querySelector('form[data-passkey]:not([hidden])')")
	w.inspect(p, "factor-code")
	w.inspectGerman(p, "/sign-in/factor", "factor-code")
	send("000 000")
	p.Wait("document.querySelector('#note') && document.readyState === 'complete'")
	send(code(key))
	p.Arrive(w.issuer + "/account")

	ahead.Add(120)
	w.signOut(p)
	p.Open(w.issuer + "/account?lang=en")
	w.signIn(p, "diane")
	p.Wait("location.pathname === '/sign-in/factor' && document.readyState === 'complete'")
	p.Click("a[href^='/sign-in/recovery']")
	p.Wait("location.pathname === '/sign-in/recovery' && document.readyState === 'complete'")
	w.inspect(p, "factor-recovery")
	send(recovery)
	p.Wait("document.querySelector('main svg.qr') && document.readyState === 'complete'")
	w.inspect(p, "factor-replace")
	send(code(Value[string](p, shownKey)))
	p.Arrive(w.issuer + "/account?lang=en")

	w.clean(p)
}
