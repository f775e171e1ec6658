package account_test

import (
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

// slowHash is a bcrypt hash, whose check takes a hundred times as long as that of the fixture's hashes.
const slowHash = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

func TestCheckTimeIsThatOfTheSlowestStoredHash(t *testing.T) {
	const least = 5 * time.Millisecond // that no machine falls below with bcrypt of cost 10

	for _, tc := range []struct {
		name  string
		learn func(t *testing.T, b *fixture)
	}{
		{"it is measured", func(t *testing.T, b *fixture) { must(t, b.MeasureFormats(t.Context())) }},
		{"a login shows it", func(t *testing.T, b *fixture) {
			_, err := b.Verify(t.Context(), b.find(t, "slow"), jeton.NewSecret("wrong"))
			must(t, err)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newFixture(t, true)
			if got := b.CheckTime(); got != 0 {
				t.Errorf("CheckTime before the first check = %v, want 0", got)
			}

			_, err := b.Import(
				t.Context(), "operator",
				[]account.ImportRow{{Name: "slow", Hash: jeton.NewSecret(slowHash)}},
				account.ImportOptions{},
			)
			must(t, err)

			tc.learn(t, b)
			with := b.CheckTime()
			if with < least {
				t.Errorf("CheckTime with a bcrypt hash = %v, want at least %v", with, least)
			}

			_, err = b.Verify(t.Context(), account.Account{}, jeton.NewSecret("wrong"))
			must(t, err)
			must(t, b.Remove(t.Context(), "operator", "slow", false))
			must(t, b.MeasureFormats(t.Context()))
			if got := b.CheckTime(); got == 0 || got >= with {
				t.Errorf("CheckTime without a bcrypt hash = %v, want above 0 and below %v", got, with)
			}
		})
	}
}
