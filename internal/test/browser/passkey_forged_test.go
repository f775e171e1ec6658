package browser

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/factor/passkey"
)

// ceremonies defines in a page a function that has Chromium and its authenticator respond to options of the server,
// changes the response, and sends it: it returns the status, and whether the server led on.
const ceremonies = `
	const bytes = (text) => Uint8Array.from(
		atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
	const text = (list) => btoa(String.fromCharCode(...list))
		.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

	// alter changes the bytes of a member of the response, and client a member of the client data.
	const alter = (r, name, change) => {
		const list = [...bytes(r.response[name])]
		r.response[name] = text(change(list) || list)
	}
	const client = (r, name, value) => alter(r, 'clientDataJSON', (list) => {
		const data = JSON.parse(String.fromCharCode(...list))
		data[name] = typeof value === 'function' ? value(data[name]) : value
		return [...JSON.stringify(data)].map((c) => c.charCodeAt(0))
	})

	// data changes the authenticator data, which is in the attestation object of a new key.
	const data = (r, change) => {
		if (r.response.authenticatorData) alter(r, 'authenticatorData', (list) => change(list, 0))
		if (r.response.attestationObject) alter(r, 'attestationObject', (list) => {
			change(list, String.fromCharCode(...list).indexOf('authData') + 'authData'.length + 2)
		})
	}

	window.ceremony = async (page, creates, change) => {
		const options = await (await fetch(page + '/options', {method: 'POST'})).json()
		delete options.excludeCredentials // the user has a key of this authenticator
		const key = creates
			? await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})
			: await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)})
		const r = key.toJSON()
		if (creates) {
			// The copy of what the attestation object has is not for servers.
			delete r.response.authenticatorData
			delete r.response.publicKey
		}

		change(r, {alter, client, data})
		const body = new URLSearchParams({name: 'forged', response: JSON.stringify(r)})
		const answer = await fetch(page, {method: 'POST', body})
		return answer.redirected ? '303' : String(answer.status)
	}
`

// forged is a change of a response that Chromium and its authenticator made.
type forged struct {
	name   string
	change string // of r, in JavaScript
	want   string // reason in the audit log
}

const (
	notThisChallenge = "the challenge has expired, or is not one of this ceremony"
	notRegistered    = "the passkey is not registered, or has been removed"
)

// forgedInBoth are the changes that both ceremonies refuse.
var forgedInBoth = []forged{
	{"another challenge", `client(r, 'challenge', (c) => (c[0] === 'A' ? 'B' : 'A') + c.slice(1))`, notThisChallenge},
	{"another origin", `client(r, 'origin', 'https://evil.example')`, string(passkey.WrongOrigin)},
	{"another port", `client(r, 'origin', (o) => o + '1')`, string(passkey.WrongOrigin)},
	{"a frame of another site", `client(r, 'crossOrigin', true)`, string(passkey.CrossOrigin)},
	{"another relying party", `data(r, (d, at) => { d[at] ^= 1 })`, string(passkey.WrongParty)},
	{"an absent user", `data(r, (d, at) => { d[at + 32] &= ~0x01 })`, string(passkey.NotPresent)},
	{"a user who was not verified", `data(r, (d, at) => { d[at + 32] &= ~0x04 })`, string(passkey.NotVerified)},
}

// forgedSignIns are changes of a sign-in.
var forgedSignIns = append([]forged{
	{"the type of a registration", `client(r, 'type', 'webauthn.create')`, string(passkey.WrongType)},
	{"a greater counter", `data(r, (d) => { d[35]++ })`, string(passkey.WrongSignature)},
	{"another signature", `alter(r, 'signature', (s) => { s[s.length - 1] ^= 1 })`, string(passkey.WrongSignature)},
	{"a byte after the signature", `alter(r, 'signature', (s) => { s.push(0) })`, string(passkey.WrongSignature)},
	{"a space in the client data", `alter(r, 'clientDataJSON', (c) => { c.push(32) })`, string(passkey.WrongSignature)},
	{"another user handle", `alter(r, 'userHandle', (h) => { h[0] ^= 1 })`, string(passkey.OtherHandle)},
	{"no user handle", `delete r.response.userHandle`, string(passkey.NoHandle)},
	{"the id of no key", `r.id = r.rawId = 'AAAAAAAAAAAAAAAAAAAAAA'`, notRegistered},
}, forgedInBoth...)

// forgedKeys are changes of a registration.
var forgedKeys = append([]forged{
	{"the type of a sign-in", `client(r, 'type', 'webauthn.get')`, string(passkey.WrongType)},
	{"no key", `data(r, (d, at) => { d[at + 32] &= ~0x40 })`, string(passkey.Malformed)},
	{"the id of another key", `r.id = r.rawId = 'AAAAAAAAAAAAAAAAAAAAAA'`, string(passkey.OtherKey)},
	{
		"a point that is not on the curve",
		`alter(r, 'attestationObject', (o) => { o[o.length - 1] ^= 1 })`,
		string(passkey.WrongAlgorithm),
	},
}, forgedInBoth...)

// TestAChangedResponseOfChromiumIsRefused changes what Chromium and its authenticator made, on its way to the server.
// The same ceremonies without a change succeed.
func TestAChangedResponseOfChromiumIsRefused(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.Authenticator()
	w.account(p, "diane")
	w.addKey(p, "laptop of diane")
	p.Open(w.issuer + "/account")
	p.Run(ceremonies)

	for _, c := range []struct {
		page, creates, action string
		list                  []forged
	}{
		{"/sign-in/passkey", "false", "login", forgedSignIns},
		{keysPath, "true", "factor.add", forgedKeys},
	} {
		send := func(change string) string {
			change = "(r, {alter, client, data}) => { " + change + " }"
			return Value[string](p, "ceremony('"+c.page+"', "+c.creates+", "+change+").catch(String)")
		}
		for _, f := range c.list {
			status := send(f.change)
			if reason := w.reason(c.action); status != "401" || reason != f.want {
				t.Errorf("%s with %s = %s because %q, want 401 because %q", c.page, f.name, status, reason, f.want)
			}
		}

		if status := send(""); status != "303" {
			t.Errorf("%s without a change = %s, want 303", c.page, status)
		}
	}
}

// reason returns that of the newest event of an action.
func (w *world) reason(action string) string {
	reason, newest := "", int64(0)
	for _, e := range w.Events() {
		if e.Action == action && e.Seq > newest {
			reason, newest = e.Reason, e.Seq
		}
	}

	return reason
}
