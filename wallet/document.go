package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

// version is the newest supported version of the document inside wallet.age. A newer one is
// refused, because writing it back would lose what is unknown. Version 2 added identities
// with a key, 3 added tokens made elsewhere, 4 sign-ins, 5 workloads. The oldest version that suffices is written, for
// older programs.
const version = 5

// document is the content of wallet.age. Its secrets are plain strings because it is encoded
// only to be encrypted; callers see Info.
type document struct {
	Version int `json:"version"`
	// Revision grows with every write, so that an older read cannot replace a newer one in
	// memory.
	Revision   int64   `json:"revision"`
	Identities []entry `json:"identities"`
}

// entry is one identity at one origin.
type entry struct {
	Origin        Origin        `json:"origin"`
	Name          string        `json:"name"`
	Username      string        `json:"username"`
	Service       string        `json:"service,omitempty"`
	LoginPath     string        `json:"login_path"`
	LogoutPath    string        `json:"logout_path"`
	UsernameField string        `json:"username_field"`
	PasswordField string        `json:"password_field"`
	AllowHTTP     bool          `json:"allow_http,omitempty"`
	CACert        string        `json:"ca_cert,omitempty"`
	Cookies       jar           `json:"cookies,omitempty"`
	Epoch         string        `json:"epoch,omitempty"` // random, new with each login; "" when logged out
	Created       time.Time     `json:"created"`
	LoggedIn      time.Time     `json:"logged_in,omitzero"`
	Uses          *int64        `json:"uses,omitempty"`
	Source        source        `json:"source,omitzero"`
	Auto          bool          `json:"auto,omitempty"`
	Held          *held         `json:"held,omitempty"`
	Key           *software     `json:"key,omitempty"`
	SignIn        *delegated    `json:"sign_in,omitempty"`
	Foreign       *foreignToken `json:"handed,omitempty"` // a token made elsewhere; with none of three: a form login
}

// source is where the password of a later login comes from. At most one field is set.
type source struct {
	Password string   `json:"password,omitempty"`
	Command  []string `json:"command,omitempty"`
}

// kind returns what Info shows of a source: never the password, and not the command, whose
// arguments may be secret.
func (s source) kind() Source {
	switch {
	case len(s.Command) > 0:
		return SourceCommand
	case s.Password != "":
		return SourceSaved
	}

	return SourceNone
}

// held keeps all processes from repeating a login that the server refused: a wrong password
// must not lock the account.
type held struct {
	Code  string    `json:"code"`
	Until time.Time `json:"until,omitzero"` // zero: until the next login by the user
}

// err returns why no login is to be tried at now, or nil. A code that this program does not
// know, written by a newer one, counts as a wrong password.
func (h *held) err(now time.Time) error {
	if h == nil || (!h.Until.IsZero() && !now.Before(h.Until)) {
		return nil
	}

	why := jeton.FromCode(h.Code)
	if why == nil {
		why = jeton.ErrBadCredential
	}
	if h.Until.IsZero() {
		return jeton.WithDetail(why, "the last login was refused; log in again")
	}

	return jeton.WithRetryAfter(
		jeton.WithDetail(why, "the last login was refused; the wallet does not try again yet"),
		h.Until.Sub(now),
	)
}

// find returns the entry of an identity in the document, or nil.
func (d *document) find(o Origin, name string) *entry {
	for i := range d.Identities {
		if d.Identities[i].Origin == o && d.Identities[i].Name == name {
			return &d.Identities[i]
		}
	}

	return nil
}

// put adds e or replaces the entry of the same origin and name.
func (d *document) put(e entry) {
	have := d.find(e.Origin, e.Name)
	if have != nil {
		*have = e
		return
	}

	d.Identities = append(d.Identities, e)
}

// drop removes an identity and reports whether it existed.
func (d *document) drop(o Origin, name string) bool {
	n := len(d.Identities)
	d.Identities = slices.DeleteFunc(d.Identities, func(e entry) bool { return e.Origin == o && e.Name == name })
	return len(d.Identities) < n
}

// names returns the identities at o, sorted.
func (d *document) names(o Origin) []string {
	var out []string
	for _, e := range d.Identities {
		if e.Origin == o {
			out = append(out, e.Name)
		}
	}

	slices.Sort(out)
	return out
}

// encode returns the JSON text of a document. Equal documents have equal text, by which
// change notices that nothing is to be written.
func encode(d document) ([]byte, error) {
	// The oldest version that holds everything, so that older programs can still read it.
	d.Version = 1
	if slices.ContainsFunc(d.Identities, func(e entry) bool { return e.Key != nil }) {
		d.Version = 2
	}
	if slices.ContainsFunc(d.Identities, func(e entry) bool { return e.Foreign != nil }) {
		d.Version = 3
	}
	if slices.ContainsFunc(d.Identities, func(e entry) bool { return e.SignIn != nil }) {
		d.Version = 4
	}
	if slices.ContainsFunc(d.Identities, func(e entry) bool { return e.Key != nil && e.Key.Workload != nil }) {
		d.Version = 5
	}

	if d.Identities == nil {
		d.Identities = []entry{}
	}

	return json.Marshal(d)
}

// decode parses a document. Its errors do not repeat the content.
func decode(text []byte) (document, error) {
	var v struct {
		Version int `json:"version"`
	}
	// The version first: a newer document may have members that the strict decoder rejects.
	if err := json.Unmarshal(text, &v); err != nil || v.Version < 1 {
		return document{}, fmt.Errorf("%w: not a wallet document", ErrCorrupt)
	}
	if v.Version > version {
		return document{}, fmt.Errorf(
			"%w: the document has version %d, this program supports %d",
			ErrNewer, v.Version, version,
		)
	}

	var d document
	dec := json.NewDecoder(bytes.NewReader(text))
	// The next write would lose an unknown member.
	dec.DisallowUnknownFields()

	if err := dec.Decode(&d); err != nil {
		return document{}, fmt.Errorf("%w: a member of the document is unknown or of the wrong type", ErrCorrupt)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return document{}, fmt.Errorf("%w: trailing data after the document", ErrCorrupt)
	}

	for i := range d.Identities {
		if err := d.Identities[i].check(); err != nil {
			return document{}, fmt.Errorf("%w: identity %d: %w", ErrCorrupt, i+1, err)
		}
		if d.find(d.Identities[i].Origin, d.Identities[i].Name) != &d.Identities[i] {
			return document{}, fmt.Errorf("%w: duplicate identity %d", ErrCorrupt, i+1)
		}
	}

	return d, nil
}

// check accepts from the wallet file only what a login would have written. Only a holder of
// the key can write the file, but a mistake of another program must not send a password
// elsewhere.
func (e *entry) check() error {
	o, err := ParseOrigin(string(e.Origin))
	if err != nil {
		return err
	}
	// Requests are compared with the origin byte by byte: another form would never match.
	if o != e.Origin {
		return jeton.WithDetail(jeton.ErrInvalid, "the origin is not in its normal form")
	}

	if err := checkName(e.Name); err != nil {
		return err
	}

	switch {
	case e.issued() != nil && e.Foreign != nil, e.Key != nil && e.SignIn != nil:
		return jeton.WithDetail(jeton.ErrInvalid, "an identity has more than one credential")
	case e.Key != nil:
		return e.Key.check()
	case e.SignIn != nil:
		return e.SignIn.check()
	case e.Foreign != nil && e.Foreign.Token != "" && !isToken(e.Foreign.Token):
		return jeton.WithDetail(jeton.ErrInvalid, "a token has invalid characters")
	case e.Foreign != nil:
		return nil
	}

	for _, path := range []string{e.LoginPath, e.LogoutPath} {
		if err := checkPath(path); err != nil {
			return err
		}
	}

	if e.UsernameField == "" || e.PasswordField == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "a form field has no name")
	}

	return nil
}

// checkName returns jeton.ErrInvalid unless name can be written in a .jeton file, a variable
// and a command line without quotes.
func checkName(name string) error {
	first, _ := utf8.DecodeRuneInString(name)
	if len(name) > 128 || !utf8.ValidString(name) || !(unicode.IsLetter(first) || unicode.IsDigit(first)) {
		return errName
	}

	for _, r := range name {
		if !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune("._+@-", r) {
			return errName
		}
	}

	return nil
}

// errName does not repeat the name, which may be a secret that was typed in the wrong place.
var errName = jeton.WithDetail(jeton.ErrInvalid,
	"invalid identity name: want letters, digits and . _ + @ -, beginning with a letter or digit, at most 128 bytes")
