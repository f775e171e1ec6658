package account

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/password"
)

// ImportRow is a person who moves in, as a file tells of them. What a file does not tell is nil
// or empty: a new account does without it, and one that is there keeps what it has.
type ImportRow struct {
	UUID     string // "": a new one is made
	Name     string
	Email    string
	First    string // name
	Last     string // name
	Groups   *[]string
	Hash     jeton.Secret // of the password, of a kind that password.Recognize knows
	Disabled *bool
	Declared bool      // in the configuration file of the server that exported it
	Created  time.Time // zero: now
	Updated  time.Time // zero: when it was made
}

// Verdict is what became of a row.
type Verdict string

// The verdicts.
const (
	Added   Verdict = "added"
	Changed Verdict = "changed"
	Exists  Verdict = "exists"   // somebody has the name, and is as the row says or was not to be changed
	InFile  Verdict = "declared" // in the configuration file, here or where the row comes from, and left to it
	Refused Verdict = "refused"
)

// ImportResult is the verdict of a row and the reason, where there is one to tell.
type ImportResult struct {
	Verdict Verdict
	Reason  string
}

// ImportOptions is how rows are moved in.
type ImportOptions struct {
	DryRun    bool // find out the verdicts and change nothing
	Update    bool // change those who are there to be as their rows say
	AllowWeak bool // take hashes that hardly protect a password
}

// PreparedRow is a row that has been prepared for the store.
type PreparedRow struct {
	Account Account // as it is added
	Update  *Change // what to change of who has the name; nil: nothing
	Reason  string  // for the record
}

// Mover is the part of a Store that takes many accounts at once.
type Mover interface {
	// ImportUsers adds or changes accounts in one step, each with its event, and returns a
	// result for each, in order. What keeps a row out (a name, an id or an address that
	// somebody has) is its result and no error: the others go in. A change ends what
	// ChangeUser ends; accounts that are declared are not changed. With dry the results
	// are those that it would have, and nothing is changed. ev gives each event its time,
	// actor and outcome.
	ImportUsers(
		ctx context.Context,
		rows []PreparedRow,
		now time.Time,
		dry bool,
		ev jeton.Event,
	) ([]ImportResult, error)
	// Append adds events to the record. When it returns nil they are durable.
	Append(ctx context.Context, events []jeton.Event) error
}

// PreparedRow moves people in, all rows in one step, and returns a verdict for each, in order.
// A row that is refused does not keep the others out. An error means that none is in, or
// with jeton.ErrUnavailable that it is not known; the same rows may then be given again:
// those that are in are found to be there.
func (a *Accounts) Import(ctx context.Context, by string, rows []ImportRow, m ImportOptions) ([]ImportResult, error) {
	now := a.now()
	results := make([]ImportResult, len(rows))
	var good []PreparedRow
	var at []int // where the good ones stand among the rows
	for i, r := range rows {
		if r.Declared {
			results[i] = ImportResult{InFile, "it was declared in a configuration file; declare it in this server's"}
			continue
		}

		in, err := prepare(r, m, now)
		if err != nil {
			results[i] = ImportResult{Refused, reason(err)}
			continue
		}

		good, at = append(good, in), append(at, i)
	}

	if len(good) == 0 {
		return results, nil
	}

	done, err := a.store.ImportUsers(ctx, good, now, m.DryRun, a.event(by, "", "", ""))
	if err != nil {
		return nil, fmt.Errorf("import %d users: %w", len(good), err)
	}

	for i, r := range done {
		results[at[i]] = r
	}

	return results, nil
}

// reason is what a person who moves people in is told: the words for the caller, or those
// of the error, which hold no hash.
func reason(err error) string {
	said := jeton.Detail(err)
	if said != "" {
		return said
	}
	return err.Error()
}

// prepare checks a row by itself.
func prepare(r ImportRow, m ImportOptions, now time.Time) (PreparedRow, error) {
	prepared, folded, err := prepareName(r.Name)
	if err != nil {
		return PreparedRow{}, err
	}

	acct := Account{
		UUID:     r.UUID,
		Name:     prepared,
		Folded:   folded,
		Password: r.Hash.Reveal(),
		Version:  1,
		Created:  r.Created,
		Updated:  r.Updated,
	}
	if acct.UUID == "" {
		acct.UUID = newUUID()
	} else if !isUUID(acct.UUID) {
		return PreparedRow{}, errors.New("id is no UUID in small letters; leave it out, and the account gets one")
	}

	if r.Groups != nil {
		acct.Groups, err = Groups(*r.Groups)
		if err != nil {
			return PreparedRow{}, err
		}
	}

	acct.Profile, err = NewProfile(r.Email, r.First, r.Last)
	if err != nil {
		return PreparedRow{}, err
	}

	acct.Disabled = r.Disabled != nil && *r.Disabled
	if acct.Created.IsZero() {
		acct.Created = now
	}
	if acct.Updated.IsZero() {
		acct.Updated = acct.Created
	}

	day := now.Add(24 * time.Hour)
	if acct.Created.After(day) || acct.Updated.After(day) { // clocks differ, but not by that
		return PreparedRow{}, errors.New("created_at or updated_at is in the future")
	}

	what := "no password"
	if acct.Password != "" {
		stored, err := password.Recognize(acct.Password)
		if err != nil {
			return PreparedRow{}, fmt.Errorf("password_hash: %w", err)
		}

		if stored.Weak && !m.AllowWeak {
			return PreparedRow{}, fmt.Errorf(
				"password_hash: %s hardly protects a password; --allow-weak takes it until the next login",
				stored.Kind,
			)
		}

		what = "password hashed by " + stored.Kind
	}

	in := PreparedRow{Account: acct, Reason: "imported, groups " + strings.Join(acct.Groups, ",") + ", " + what}
	if m.Update {
		in.Update = update(r, acct)
	}

	return in, nil
}

// update is what a row changes of an account that is there: what it tells.
func update(r ImportRow, acct Account) *Change {
	c := Change{Disabled: r.Disabled}
	if acct.Password != "" {
		c.Password = &acct.Password
	}
	if r.Groups != nil {
		c.Groups = &acct.Groups
	}

	c.Profile = func(p Profile) Profile {
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

// isUUID reports whether s is written as newUUID writes one, whatever its version.
func isUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return err == nil && strings.Count(s, "-") == 4
}

// Export returns the accounts of a page with their hashes, and the number that the next
// page begins after: 0 when this is the last. Search is not looked at. Before the first page
// has left, the record says that it has.
func (a *Accounts) Export(ctx context.Context, by string, p Page) ([]Account, int64, error) {
	if p.After == 0 {
		ev := jeton.Event{
			Time:    a.now(),
			Actor:   by,
			Action:  audit.UserExport,
			Target:  "users",
			Outcome: audit.OK,
			Reason:  "with password hashes",
		}
		if err := a.store.Append(ctx, []jeton.Event{ev}); err != nil {
			return nil, 0, fmt.Errorf("record export: %w", err)
		}
	}

	accounts, err := a.store.PageUsers(ctx, Page{After: p.After, Limit: p.Limit + 1})
	if err != nil {
		return nil, 0, fmt.Errorf("export users: %w", err)
	}
	if len(accounts) <= p.Limit {
		return accounts, 0, nil
	}

	return accounts[:p.Limit], accounts[p.Limit-1].ID, nil
}
