package pages

import (
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxTestURL bounds the address of a request that is tested, in bytes.
const maxTestURL = 2000

// tokenTest is a request that is judged and not sent, as the API reads it.
type tokenTest struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

// testedToken is what it would get.
type testedToken struct {
	Allowed bool          `json:"allowed"`
	Code    string        `json:"code"`
	Service string        `json:"service"`
	Route   string        `json:"route"`
	Checks  []jeton.Check `json:"checks"`
	Left    *int64        `json:"uses_remaining"`
}

// testToken answers POST /account/tokens/{accessor}: the page of the token with the verdict on a request. The request
// is in the body, because addresses of others may hold secrets. No use is spent.
func (p *Pages) testToken(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	t, err := p.ownToken(w, r)
	if err != nil {
		return err
	}

	services, err := p.ownServices(w, r)
	if err != nil {
		return err
	}

	v := newTokenView(t, services, w.Start, form)
	test := tokenTest{Method: form.Get("method"), URL: form.Get("url")}
	if !slices.Contains(testMethods, test.Method) || test.URL == "" || len(test.URL) > maxTestURL {
		return p.testRefused(w, r, v, jeton.ErrInvalid)
	}

	var tested testedToken
	err = p.API.Call(w, r, http.MethodPost, tokenAPI(r, "test"), test, &tested)
	if err != nil {
		return p.testRefused(w, r, v, err)
	}
	v.Verdict = newVerdict(t, test, tested)

	return p.show(w, r, http.StatusOK, "account/token", v)
}

// testRefused shows the page of a token again after a test that cannot be made.
func (p *Pages) testRefused(w *web.Reply, r *http.Request, v tokenView, err error) error {
	if jeton.Outcome(err) != jeton.ErrInvalid {
		return err
	}

	v.Address.Error = text("try.bad")
	v.Address.Invalid = true
	v.Address.Focus = true

	return p.again(w, r, "account/token", v, err)
}

// newVerdict returns what a test of a token found.
func newVerdict(t oneToken, test tokenTest, tested testedToken) *verdictView {
	v := &verdictView{
		Method:  test.Method,
		URL:     test.URL,
		Allowed: tested.Allowed,
		Service: tested.Service,
	}
	if tested.Left != nil {
		v.Left = text("try.left", *tested.Left)
	}
	if !tested.Allowed {
		v.Reason = refusalOf(tested.Code)
	}

	for _, c := range tested.Checks {
		v.Steps = append(v.Steps, newStep(t, c, v.Reason))
	}

	return v
}

// newStep returns a check in the words of a user. What was found wrong stands as the server says it, which names more
// than the reason does.
func newStep(t oneToken, c jeton.Check, reason Text) Step {
	step := Step{
		Label:  checkNames[c.Name],
		Name:   c.Name,
		Words:  valueText(c),
		Value:  c.Value,
		Result: c.Result,
	}

	switch {
	case c.Result == "fail" && c.Value == "":
		step.Words = reason
	case c.Result != "pass":
	case c.Name == "credential" && t.Name != "":
		step.Words = text("try.token", t.Name)
	case c.Name == "window":
		step.Words = text("try.until", t.Expires)
	case c.Name == "uses" && t.UsesRemaining == nil:
		step.Words = text("try.uncounted")
	case c.Name == "uses":
		step.Words = text("left.uses", *t.UsesRemaining, t.MaxUses)
	}

	return step
}

// refusalOf returns why a token would be refused, by the code of the refusal.
func refusalOf(code string) Text {
	switch jeton.FromCode(code) {
	case jeton.ErrNotFound:
		return text("try.not-found")
	case jeton.ErrBadCredential:
		return text("try.other-service")
	case jeton.ErrForbidden:
		return text("try.forbidden")
	case jeton.ErrScope:
		return text("try.scope")
	case jeton.ErrSpent:
		return text("try.spent")
	case jeton.ErrExpired:
		return text("try.expired")
	case jeton.ErrTooEarly:
		return text("try.early")
	}

	return text("try.refused", Code(code))
}
