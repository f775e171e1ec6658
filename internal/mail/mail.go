// Package mail sends mail to users: links to set a password or to make an account, and notices of what changed.
//
// What happens and the mail about it are stored in one step, so that a crash loses none. A mail is tried again for a
// day, by one node at a time, and may arrive twice: then both have the same Message-ID. Sending delays no request.
//
// No row has the secret of a link: Links derives it from the id of the mail and a key that the database does not have.
// Who gets a mail, and what its link permits, is for package signin; that work is done once or again, for outbox.
//
// # Files
//
//	mail.go       a mail as it is stored
//	sender.go     trying, trying again, giving up
//	compose.go    from a mail to a subject, a text and HTML, in a language
//	language.go   the language of the page that a mail is asked for at
//	address.go    addresses with letters beyond ASCII
//	transport.go  SMTP, a directory, the console
package mail

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Kind is what a mail is about. The database has the values.
type Kind string

// The kinds of mail. Each has a template in every language.
const (
	Recovery   Kind = "recovery"   // a link to set a new password
	Password   Kind = "password"   // the password was changed
	Address    Kind = "address"    // the e-mail address was changed
	Device     Kind = "device"     // a sign-in with a device that was not known
	Token      Kind = "token"      // a personal token was made, or got another secret
	Identity   Kind = "identity"   // an account at another provider was connected or disconnected
	Factor     Kind = "factor"     // a second factor was added or removed, or a recovery code used
	Invitation Kind = "invitation" // a link to make an account
	Verify     Kind = "verify"     // a link that makes a new e-mail address that of the user
	Test       Kind = "test"       // that the operator sends to see whether it arrives
)

// Often are the kinds of notices of what a user can do often. More than MaxNotices are not sent: after as many the
// owner knows enough, and the address of a stranger would get any number.
var Often = []Kind{Device, Token, Identity}

const (
	// Lifetime is how long a mail is tried, unless what it has expires earlier.
	Lifetime = 24 * time.Hour
	// MaxRequests is how many mails of one kind that strangers asked for may wait.
	MaxRequests = 10_000
	// MaxNotices is how many notices of what a user can do often may wait, and about how many a user gets in an hour.
	MaxNotices = 10
	// LinkLifetime is how long the link of a notice is valid: mail may be read after a holiday of a week.
	LinkLifetime = 7 * 24 * time.Hour
	// MaxAddress bounds an address, in bytes (RFC 5321, section 4.5.3.1.3).
	MaxAddress = 254
)

// Facts is what a mail is about. All fields may be empty.
type Facts struct {
	Name    string    `json:"name,omitempty"`    // of the user
	User    string    `json:"user,omitempty"`    // public id of the user
	Action  string    `json:"action,omitempty"`  // what was done, as in the audit log
	Actor   string    `json:"actor,omitempty"`   // who did it, as there
	Source  string    `json:"source,omitempty"`  // address of the request
	Request string    `json:"request,omitempty"` // its ID
	At      time.Time `json:"at,omitzero"`
	Email   string    `json:"email,omitempty"` // address of the user before the change
}

// Mail is a mail that waits to be sent.
type Mail struct {
	ID       string
	Kind     Kind
	Account  int64  // number of the user that it is about; 0: not known yet
	To       string // address; of a Recovery what was typed in, an address or a name
	Language string // "": the one of the configuration
	Facts    Facts
	Created  time.Time
	Expires  time.Time // when it is given up
	Tries    int       // of this node and others, with the one that begins
}

// New returns a mail to store, which is given up after Lifetime.
func New(k Kind, now time.Time) (Mail, error) {
	id, err := secret.ID("m_", now, rand.Reader)

	return Mail{
		ID:      id,
		Kind:    k,
		Created: now,
		Expires: now.Add(Lifetime),
	}, err
}

// Store keeps mails until they are sent. What changes a user adds notices in its own step. Its methods are safe for
// concurrent use, on many nodes.
type Store interface {
	Subscribe(func(change.Change))
	// SendNotices says whether steps add notices. A server without a mailer adds none.
	SendNotices(on bool)
	// AddMail adds a mail that a stranger asked for, and its event. It returns jeton.ErrBusy if MaxRequests of
	// its kind wait.
	AddMail(ctx context.Context, m Mail, ev jeton.Event) error
	// NextMail returns when a mail is due, perhaps in the past, and whether there is one.
	NextMail(ctx context.Context) (at time.Time, waiting bool, err error)
	// ClaimMails returns at most limit mails that are due, and counts a try for each. It makes them due again
	// after the time that again returns for that number of tries. Of many nodes, one gets each.
	ClaimMails(ctx context.Context, now time.Time, limit int, again func(tries int) time.Duration) ([]Mail, error)
	// DropMail deletes a mail.
	DropMail(ctx context.Context, id string) error
	// CountMails returns how many mails wait.
	CountMails(ctx context.Context) (int64, error)
}

// ErrDrop means that a mail is not to be sent: its user is gone, say, or never was.
var ErrDrop = errors.New("the mail is not sent")

// Links derives the secrets of links. The same mail has the same secret whenever it is sent.
type Links struct{ key []byte }

// NewLinks returns the links of a server. key has 32 bytes, and is not in the database.
func NewLinks(key []byte) Links { return Links{key} }

// Secret returns the secret of the link of a mail: a ticket.
func (l Links) Secret(id string) (jeton.Secret, error) {
	m := hmac.New(sha256.New, l.key)
	m.Write([]byte(id))

	return secret.New(secret.Ticket, &fixed{m.Sum(nil)})
}

// fixed reads derived bytes once.
type fixed struct{ rest []byte }

// Read implements io.Reader.
func (f *fixed) Read(into []byte) (int, error) {
	n := copy(into, f.rest)
	f.rest = f.rest[n:]

	return n, nil
}
