package statements

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/naming"
)

// ListUsers implements account.Store.
func (db *Store) ListUsers(ctx context.Context) ([]account.Account, error) {
	rows, err := db.engine.Query(ctx, selectUsers+"ORDER BY name")
	if err != nil {
		return nil, Unavailable(err)
	}

	accounts, err := scanAccounts(rows)
	return accounts, Unavailable(err)
}

// PageUsers implements account.Store.
func (db *Store) PageUsers(ctx context.Context, p account.Page) ([]account.Account, error) {
	where, args := "id > $1", []any{p.After}
	if p.Search != "" {
		condition, patterns := searched(p.Search)
		where += " AND (" + condition + ")"
		args = append(args, patterns...)
	}

	if p.Service != "" {
		args = append(args, p.Service)
		// service <> '' lets the partial index fit.
		where += fmt.Sprintf(" AND service <> '' AND service = $%d", len(args))
	}

	rows, err := db.engine.Query(ctx, selectUsers+"WHERE "+where+" ORDER BY id"+atMost(p.Limit), args...)
	if err != nil {
		return nil, Unavailable(err)
	}

	accounts, err := scanAccounts(rows)
	return accounts, Unavailable(err)
}

// PrefixUsers implements account.Store. Both columns are compared by their bytes, so that the range is exact.
func (db *Store) PrefixUsers(ctx context.Context, p account.PrefixPage) ([]account.Account, error) {
	// No text that begins with the prefix is after it and the last code point.
	end := p.Prefix + string(unicode.MaxRune)

	const named = "folded >= $1 AND folded < $2"
	where, column := named, "folded"
	if p.ByEmail {
		// email_folded <> '' lets the partial index fit.
		column = "email_folded"
		where = "email_folded >= $1 AND email_folded < $2 AND email_folded <> '' AND NOT (" + named + ")"
	}

	rows, err := db.engine.Query(
		ctx, selectUsers+"WHERE "+where+" AND "+column+" > $3 ORDER BY "+column+atMost(p.Limit),
		p.Prefix, end, p.After,
	)
	if err != nil {
		return nil, Unavailable(err)
	}

	accounts, err := scanAccounts(rows)
	return accounts, Unavailable(err)
}

// searched returns the condition for users who have a text in a name or in the address, and its
// arguments from $2 on. Names and addresses are stored folded. First and last names are not:
// they match the text in lower case, in upper case, and with capitals at the beginning of words.
// Of ASCII, case never counts. So the result depends neither on the engine nor on a locale:
// with the collation C, lower changes ASCII alone, as SQLite does with any.
func searched(text string) (condition string, args []any) {
	anyOf := []string{`folded LIKE $2 ESCAPE '\'`, `email_folded LIKE $2 ESCAPE '\'`}
	args = append(args, contains(naming.FoldEmail(text)))

	for _, spelling := range []string{strings.ToLower(text), strings.ToUpper(text), capitalized(text)} {
		args = append(args, contains(lowerASCII(spelling)))

		for _, column := range []string{"first_name", "last_name"} {
			anyOf = append(anyOf, fmt.Sprintf(`lower(%s COLLATE "C") LIKE $%d ESCAPE '\'`, column, len(args)+1))
		}
	}

	return strings.Join(anyOf, " OR "), args
}

// capitalized returns a text in lower case with capitals at the beginning of words.
func capitalized(text string) string {
	inside := false

	return strings.Map(func(r rune) rune {
		first := !inside
		inside = unicode.IsLetter(r)
		if first {
			return unicode.ToTitle(r)
		}
		return unicode.ToLower(r)
	}, text)
}

func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}

// contains returns the pattern of LIKE for texts that contain the text.
func contains(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text) + "%"
}

// CountUsers implements account.Store.
func (db *Store) CountUsers(ctx context.Context, service string) (int64, error) {
	text, args := "SELECT count(*) FROM users", []any{}
	if service != "" {
		// service <> '' lets the partial index fit.
		text += " WHERE service <> '' AND service = $1"
		args = append(args, service)
	}

	var n int64
	err := db.engine.QueryRow(ctx, text, args...).Scan(&n)

	return n, Unavailable(err)
}

// scanAccounts reads all rows of selectUsers and closes them.
func scanAccounts(rows Rows) ([]account.Account, error) {
	defer rows.Close()

	var accounts []account.Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}

	return accounts, rows.Err()
}
