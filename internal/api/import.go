package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// The most people that are moved in or out by one call.
const (
	MaxImport = 500
	MaxExport = 500
)

// Moved is a person on the way in or out, with the hash of the password. What is left out
// of one who moves in is not told.
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
	Created  *time.Time `json:"created_at,omitempty"`
	Updated  *time.Time `json:"updated_at,omitempty"`
}

// Import asks for people to be moved in.
type Import struct {
	DryRun    bool    `json:"dry_run,omitempty"`
	Update    bool    `json:"update,omitempty"`
	AllowWeak bool    `json:"allow_weak,omitempty"`
	Users     []Moved `json:"users"`
}

// Verdict is what became of one of them: added, changed, exists, declared or refused.
type Verdict struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
}

// Verdicts are those of an Import, in its order.
type Verdicts struct {
	Verdicts []Verdict `json:"verdicts"`
}

// Exported is a page of people who move out.
type Exported struct {
	Users []Moved `json:"users"`
	Next  int64   `json:"next,omitempty"` // what the next page comes after; left out of the last
}

func (a *API) importRoutes() []web.Route {
	return []web.Route{
		{Pattern: "POST /api/v1/users/import", Access: policy.Operator, Handle: a.importUsers},
		{Pattern: "GET /api/v1/users/export", Access: policy.Operator, Handle: a.exportUsers},
	}
}

// importUsers answers POST /api/v1/users/import. A user who is refused does not keep the
// others out, and is no error.
func (a *API) importUsers(w *web.Reply, r *http.Request) error {
	in, err := web.Read[Import](r)
	if err != nil {
		return err
	}
	if len(in.Users) == 0 || len(in.Users) > MaxImport {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("users must be 1 to %d", MaxImport))
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
			Created:  at(u.Created),
			Updated:  at(u.Updated),
		}
	}

	results, err := a.Accounts.Import(r.Context(), by, rows, account.ImportOptions{
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

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// exportUsers answers GET /api/v1/users/export?after=&limit=.
func (a *API) exportUsers(w *web.Reply, r *http.Request) error {
	after, err := number(r, "after", 0)
	if err != nil {
		return err
	}

	limit, err := number(r, "limit", MaxExport)
	if err != nil {
		return err
	}
	if limit < 1 || limit > MaxExport {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("limit must be 1 to %d", MaxExport))
	}

	accounts, next, err := a.Accounts.Export(r.Context(), by, account.Page{After: int64(after), Limit: limit})
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
			Created:  utc(u.Created),
			Updated:  utc(u.Updated),
		}
	}

	return web.JSON(w, http.StatusOK, out)
}

func utc(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}
