package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/password"
)

// ImportRow is a user of a file that is imported. A field that the file does not have is
// nil or empty: a new account has no such attribute, and an existing one keeps its own.
type ImportRow struct {
	UUID     string // "": a new one is made
	Name     string
	Email    string
	First    string // name
	Last     string // name
	Groups   *[]string
	Hash     jeton.Secret // of the password, of a kind that password.Recognize knows
	Disabled *bool
	Service  string    // the only one that the user is valid at; "": every service
	Declared bool      // in the configuration file of the server that exported it
	Created  time.Time // zero: now
	Updated  time.Time // zero: same as Created
}

// Verdict is what an import did with a row.
type Verdict string

// The verdicts.
const (
	Added   Verdict = "added"
	Changed Verdict = "changed"
	Exists  Verdict = "exists"   // the name is taken, and its account was not to be changed or needed no change
	InFile  Verdict = "declared" // in a configuration file, of this server or of the one that exported it
	Refused Verdict = "refused"
)

// ImportResult is the verdict on a row, with its reason if there is one.
type ImportResult struct {
	Verdict Verdict
	Reason  string
}

// ImportOptions is how rows are imported.
type ImportOptions struct {
	DryRun    bool // return the verdicts and change nothing
	Update    bool // change existing accounts to what their rows say
	AllowWeak bool // accept hashes that hardly protect a password
}

// PreparedRow is a row that has been checked, for the store.
type PreparedRow struct {
	Account Account // to be added
	Update  *Change // of the account that has the name; nil: none
	Reason  string  // for the audit log
}

// Import imports all rows in one step and returns a verdict for each, in order. A row that
// is refused does not prevent the others. An error means that none was imported, or with
// jeton.ErrUnavailable that this is unknown. The same rows may then be imported again:
// existing ones are reported as such.
func (a *Accounts) Import(
	ctx context.Context,
	actor string,
	rows []ImportRow,
	opts ImportOptions,
) ([]ImportResult, error) {
	now := a.now()
	results := make([]ImportResult, len(rows))
	var good []PreparedRow
	var position []int // of each good row among the rows

	for i, r := range rows {
		// Its place is the file of this server: added here, a later change of that file
		// would not reach it.
		if r.Declared {
			results[i] = ImportResult{InFile, "declared in a configuration file; declare it in this server's file"}
			continue
		}

		row, err := prepare(r, opts, now)
		if err != nil {
			results[i] = ImportResult{Refused, reason(err)}
			continue
		}

		good = append(good, row)
		position = append(position, i)
	}

	if len(good) == 0 {
		return results, nil
	}

	done, err := a.store.ImportUsers(ctx, good, now, opts.DryRun, a.event(actor, "", "", ""))
	if err != nil {
		return nil, fmt.Errorf("import %d users: %w", len(good), err)
	}

	for i, r := range done {
		results[position[i]] = r
	}

	select {
	case a.times.scan <- struct{}{}:
	default: // it will be done anyway
	}

	return results, nil
}

// reason returns the text of an error that the operator sees: its detail, or all of it,
// which shows no hash.
func reason(err error) string {
	detail := jeton.Detail(err)
	if detail != "" {
		return detail
	}

	return err.Error()
}

// prepare checks a row by itself.
func prepare(r ImportRow, opts ImportOptions, now time.Time) (PreparedRow, error) {
	acct, err := r.account(now)
	if err != nil {
		return PreparedRow{}, err
	}

	hashedBy := "no password"
	if acct.Password != "" {
		stored, err := password.Recognize(acct.Password)
		if err != nil {
			return PreparedRow{}, fmt.Errorf("password_hash: %w", err)
		}

		if stored.Weak && !opts.AllowWeak {
			return PreparedRow{}, fmt.Errorf(
				"password_hash: %s hardly protects a password; --allow-weak accepts it until the next login",
				stored.Kind,
			)
		}

		hashedBy = "password hashed by " + stored.Kind
	}

	row := PreparedRow{
		Account: acct,
		Reason:  "imported, groups " + strings.Join(acct.Groups, ",") + ", " + hashedBy,
	}
	if opts.Update {
		row.Update = r.change(acct)
	}

	return row, nil
}

// account returns the account that a row adds. Its password hash has not been checked.
func (r ImportRow) account(now time.Time) (Account, error) {
	prepared, folded, err := prepareName(r.Name)
	if err != nil {
		return Account{}, err
	}

	acct := Account{
		UUID:     r.UUID,
		Name:     prepared,
		Folded:   folded,
		Password: r.Hash.Reveal(),
		Version:  1,
		Disabled: r.Disabled != nil && *r.Disabled,
		Service:  r.Service,
		Created:  r.Created,
		Updated:  r.Updated,
	}

	if r.Service != "" {
		if err := naming.Service(r.Service); err != nil {
			return Account{}, fmt.Errorf("invalid service: %w", err)
		}
	}

	if acct.UUID == "" {
		acct.UUID = newUUID()
	} else if !isUUID(acct.UUID) {
		return Account{}, errors.New("invalid id: want a UUID in lower case, or none for a new one")
	}

	if r.Groups != nil {
		acct.Groups, err = Groups(*r.Groups)
		if err != nil {
			return Account{}, err
		}
	}

	acct.Profile, err = NewProfile(r.Email, r.First, r.Last)
	if err != nil {
		return Account{}, err
	}

	if acct.Created.IsZero() {
		acct.Created = now
	}

	if acct.Updated.IsZero() {
		acct.Updated = acct.Created
	}

	// The clock of the server that exported it may differ from ours, but not by a day.
	latest := now.Add(24 * time.Hour)
	if acct.Created.After(latest) || acct.Updated.After(latest) {
		return Account{}, errors.New("created_at or updated_at is in the future")
	}

	return acct, nil
}

// change returns the change of an existing account: the fields that the row has.
func (r ImportRow) change(acct Account) *Change {
	c := Change{Disabled: r.Disabled}
	if acct.Password != "" {
		c.Password = &acct.Password
	}
	if r.Groups != nil {
		c.Groups = &acct.Groups
	}

	c.Profile = func(p Profile) Profile {
		// Empty and absent are the same in CSV, so an import cannot remove an address.
		if acct.Email != "" {
			p.Email, p.EmailFolded = acct.Email, acct.EmailFolded
		}
		if acct.First != "" {
			p.First = acct.First
		}
		if acct.Last != "" {
			p.Last = acct.Last
		}

		return p
	}

	return &c
}

// Export returns the accounts of a page with their hashes, and the After of the next page:
// 0 when this is the last. Search is ignored. The export is in the audit log before the
// first page is returned.
func (a *Accounts) Export(ctx context.Context, actor string, p Page) ([]Account, int64, error) {
	// Once per export and not per page. First, so that no hash leaves without an event.
	if p.After == 0 {
		ev := a.event(actor, audit.UserExport, "", "with password hashes")
		ev.Target = "users"
		if err := a.store.Append(ctx, []jeton.Event{ev}); err != nil {
			return nil, 0, fmt.Errorf("record export: %w", err)
		}
	}

	p.Search = ""
	accounts, next, err := a.page(ctx, p)
	if err != nil {
		return nil, 0, fmt.Errorf("export users: %w", err)
	}

	return accounts, next, nil
}
