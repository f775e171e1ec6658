package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/web"
)

// The maximum number of users in one request.
const (
	MaxImport = 500
	MaxExport = 500
)

// Moved is an exported user, or one to import, with the hash of the password.
type Moved struct {
	ID       string     `json:"id,omitempty"` // UUID
	Name     string     `json:"name"`
	Email    string     `json:"email,omitempty"`
	First    string     `json:"first_name,omitempty"`
	Last     string     `json:"last_name,omitempty"`
	Groups   *[]string  `json:"groups,omitempty"`
	Hash     string     `json:"password_hash,omitempty"`
	Disabled *bool      `json:"disabled,omitempty"`
	Declared bool       `json:"declared,omitempty"`
	Service  string     `json:"service,omitempty" jsonschema:"The only one that accepts the user"`
	Created  *time.Time `json:"created_at,omitempty"`
	Updated  *time.Time `json:"updated_at,omitempty"`
}

// Import is a request to import users.
type Import struct {
	DryRun    bool    `json:"dry_run,omitempty" jsonschema:"Report what would happen, and change nothing"`
	Update    bool    `json:"update,omitempty" jsonschema:"Change users that exist"`
	AllowWeak bool    `json:"allow_weak,omitempty" jsonschema:"Accept weak password hashes"`
	Users     []Moved `json:"users"`
}

// Verdict is the result for one user. It never quotes a hash.
type Verdict struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict" jsonschema:"added, changed, exists, declared or refused"`
	Reason  string `json:"reason,omitempty"`
}

// Verdicts are the results of an Import, in its order.
type Verdicts struct {
	Verdicts []Verdict `json:"verdicts"`
}

// Exported is a page of exported users.
type Exported struct {
	Users []Moved `json:"users"`
	Next  int64   `json:"next,omitempty" jsonschema:"Value of after for the next page; absent on the last"`
}

// importUsers answers POST /users/import. A refused user is not an error, and does not keep the others out.
func (a *API) importUsers(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[Import](r)
	if err != nil {
		return err
	}
	if len(in.Users) == 0 || len(in.Users) > MaxImport {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid users: want 1 to %d", MaxImport))
	}

	rows := make([]account.ImportRow, len(in.Users))
	for i, u := range in.Users {
		rows[i] = account.ImportRow{
			UUID:     u.ID,
			Name:     u.Name,
			Email:    u.Email,
			First:    u.First,
			Last:     u.Last,
			Groups:   u.Groups,
			Hash:     jeton.NewSecret(u.Hash),
			Disabled: u.Disabled,
			Declared: u.Declared,
			Service:  u.Service,
			Created:  timeOrZero(u.Created),
			Updated:  timeOrZero(u.Updated),
		}
	}

	results, err := a.Accounts.Import(r.Context(), c.actor(), rows, account.ImportOptions{
		DryRun:    in.DryRun,
		Update:    in.Update,
		AllowWeak: in.AllowWeak,
	})
	if err != nil {
		return err
	}

	out := Verdicts{Verdicts: make([]Verdict, len(results))}
	for i, result := range results {
		out.Verdicts[i] = Verdict{Name: rows[i].Name, Verdict: string(result.Verdict), Reason: result.Reason}
	}

	return web.JSON(w, http.StatusOK, out)
}

// timeOrZero returns the time of a row, or zero if it has none.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// exportUsers answers GET /users/export?after=&limit=.
func (a *API) exportUsers(w *web.Reply, r *http.Request, c caller) error {
	after, err := queryNumber(r, "after", 0)
	if err != nil {
		return err
	}

	limit, err := queryNumber(r, "limit", MaxExport)
	if err != nil {
		return err
	}
	if limit < 1 || limit > MaxExport {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid limit: want 1 to %d", MaxExport))
	}

	page := account.Page{After: int64(after), Limit: limit}
	accounts, next, err := a.Accounts.Export(r.Context(), c.actor(), page)
	if err != nil {
		return err
	}

	out := Exported{Users: make([]Moved, len(accounts)), Next: next}
	for i, acct := range accounts {
		u := acct.User()
		out.Users[i] = Moved{
			ID:       u.ID,
			Name:     u.Name,
			Email:    u.Email,
			First:    u.First,
			Last:     u.Last,
			Groups:   &u.Groups,
			Hash:     acct.Password,
			Disabled: &u.Disabled,
			Declared: u.Declared,
			Service:  u.Service,
			Created:  utc(u.Created),
			Updated:  utc(u.Updated),
		}
	}

	return web.JSON(w, http.StatusOK, out)
}

// utc returns a pointer to t in UTC, for members that may be absent.
func utc(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}
