package account

import (
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// Pending is an e-mail address of a user that counts once its link was used. The step that changes the user stores it:
// the mail, and the link, which a change after it ends.
type Pending struct {
	Email    string      // that is valid
	Mail     string      // id of the mail with the link
	Language string      // of the mail; "": the one of the configuration
	Link     secret.Hash // of the secret of the link
	Expires  time.Time   // of both
	// Data returns the data of the ticket of the link, for the account as it is after the change.
	Data func(Account) ([]byte, error)
}

// linkSent is what the audit log says of a change with a Pending.
const linkSent = "a link to confirm a new e-mail address is sent"
