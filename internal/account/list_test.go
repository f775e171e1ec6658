package account_test

import (
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

func TestPage(t *testing.T) {
	b := newFixture(t, true)
	for _, name := range []string{"one", "two", "three"} {
		_, err := b.Add(t.Context(), "operator", account.NewUser{
			Name:     name,
			Password: jeton.NewSecret("a good password"),
		})
		must(t, err)
	}

	page, next, err := b.Page(t.Context(), account.Page{Limit: 2})
	must(t, err)

	if len(page) != 2 || next == 0 {
		t.Fatalf("first page = %v, next %d; want 2 users and a next page", page, next)
	}

	page, next, err = b.Page(t.Context(), account.Page{Limit: 2, After: next})
	must(t, err)

	if len(page) != 1 || page[0].Name != "three" || next != 0 {
		t.Errorf("last page = %v, next %d; want user three and 0", page, next)
	}

	page, next, err = b.Page(t.Context(), account.Page{Limit: 3})
	if err != nil || len(page) != 3 || next != 0 {
		t.Errorf("a page that is just full = %v, next %d, %v; want 3 users and 0", page, next, err)
	}
}
