package pages

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// devicePath is the page into which a user types the code that a device shows (RFC 8628, section 3.3).
const devicePath = "/device"

// deviceView is the view of sign-in/device.
type deviceView struct {
	Action string // where the form goes
	Note   *Note
	Code   Field
	Done   bool // the user has answered: there is no form
}

// deviceAnswerView is the view of sign-in/device-answer.
type deviceAnswerView struct {
	Action string // where the form goes
	Code   string
	Client Strong
	Name   string // who is signed in
	Scopes []consentScope
}

// deviceForm returns the form, with a code if it has the form of one.
func deviceForm(code string) deviceView {
	shown, _ := signin.UserCode(code)

	return deviceView{
		Action: devicePath,
		Code: Field{
			Name:         "user_code",
			Label:        text("at-device.code"),
			Hint:         text("at-device.code.hint"),
			Value:        shown,
			Autocomplete: "off",
			MaxLength:    20,
			Required:     true,
			Focus:        true,
		},
	}
}

// devicePage answers GET /device. A code in its address is filled in and no more: a link that another user has sent
// must not lead to a page with a button that allows (RFC 8628, section 5.4).
func (p *Pages) devicePage(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	view := deviceForm(query.Get("user_code"))

	switch query.Get("done") {
	case "allowed":
		view.Done, view.Note = true, &Note{Kind: Good, Text: text("at-device.allowed"), Focus: true}
	case "denied":
		view.Done, view.Note = true, &Note{Text: text("at-device.denied"), Focus: true}
	}

	return p.show(w, r, http.StatusOK, "sign-in/device", view)
}

// device answers POST /device: it shows which device waits with a code, and then takes the answer of the user.
func (p *Pages) device(w *web.Reply, r *http.Request) error {
	// Another site could allow a device of its own in place of the user.
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	answer := form.Get("answer")
	req := signin.UserCodeRequest{
		Live:    gate.From(w).Session(),
		Code:    form.Get("user_code"),
		Allow:   answer == "allow",
		Targets: p.Targets,
		Source:  w.Source,
		Request: w.ID,
	}
	if answer == "" {
		return p.askDevice(w, r, req)
	}

	err = p.Logins.AnswerDevice(r.Context(), req)
	switch {
	case err != nil:
		return p.deviceRefused(w, r, req.Code, err)
	case req.Allow:
		return see(w, devicePath+"?done=allowed")
	}

	return see(w, devicePath+"?done=denied")
}

// askDevice shows which device waits with a code, and asks the user.
func (p *Pages) askDevice(w *web.Reply, r *http.Request, req signin.UserCodeRequest) error {
	found, err := p.Logins.FindDevice(r.Context(), req)
	if err != nil {
		return p.deviceRefused(w, r, req.Code, err)
	}

	return p.show(w, r, http.StatusOK, "sign-in/device-answer", deviceAnswerView{
		Action: devicePath,
		Code:   found.UserCode,
		Client: Strong(found.Client.Name),
		Name:   req.Live.Principal().Name,
		Scopes: consentScopes(found.Scopes),
	})
}

// deviceRefused shows the form again for a code that no device waits with, and for too many of them.
func (p *Pages) deviceRefused(w *web.Reply, r *http.Request, code string, err error) error {
	unknown := errors.Is(err, jeton.ErrNotFound)
	if !unknown && !errors.Is(err, jeton.ErrTooMany) {
		return err
	}

	v := deviceForm(code)
	v.Note = p.noteOf(w, err)
	v.Note.Focus = false
	v.Code.NoteBelongs = true
	if unknown {
		v.Note.Text, v.Note.More = text("at-device.unknown"), text("at-device.unknown.do")
		v.Note.Detail = ""
		v.Code.Invalid = true
	}

	return p.again(w, r, "sign-in/device", v, err)
}
