package e2e

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// importedHashes are hashes of the cost that other programs give them. No password is known for any.
var importedHashes = map[string]string{
	"bcrypt": "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
	"pbkdf2": "pbkdf2_sha256$600000$saltsaltsalt$" + strings.Repeat("A", 43) + "=",
	"scrypt": "scrypt:32768:8:1$saltsaltsaltsalt$" + strings.Repeat("0f", 64),
	"crypt":  "$6$rounds=300000$saltsalt$" + strings.Repeat(".", 86),
}

// A client cannot distinguish an unknown name from one whose hash was imported, nor, at a source that is throttled,
// an unknown name from any other. The times are compared by 'make soak' only, as in
// TestUnknownNamesAndWrongPasswordsAreAlike.
func TestImportedHashesAndThrottledNamesAreAlike(t *testing.T) {
	pairs := 1
	endpoints := []string{"form"}
	others := []string{"diane", "bcrypt"}
	if need.Soaking() {
		pairs = 200
		endpoints = append(endpoints, "basic")
		others = append(others, "pbkdf2", "scrypt", "crypt")
	}

	for _, tc := range []struct {
		name   string
		config string
		status string
	}{
		{"refused", oracleConf, "401\n"},
		{"throttled", strings.Replace(oracleConf, "pair_burst: 1000000", "pair_burst: 1, pair_every: 24h", 1), "429\n"},
	} {
		s, c := startWithImported(t, tc.config)

		for _, endpoint := range endpoints {
			for _, other := range others {
				t.Run(tc.name+", "+endpoint+", "+other, func(t *testing.T) {
					times := map[string][]float64{}

					for i := range pairs + 1 { // the first uses the budget up, and shows the server the time
						texts := map[string]string{}
						for _, name := range [][]string{{"unknown", other}, {other, "unknown"}}[i%2] {
							a, took := guess(t, s, c, endpoint, name, fmt.Sprint("wrong", i))
							a.Header.Del("Retry-After") // counts down
							texts[name] = answerText(a)
							if i > 0 {
								times[name] = append(times[name], took.Seconds())
							}
						}

						if i > 0 && (texts["unknown"] != texts[other] || !strings.HasPrefix(texts[other], tc.status)) {
							t.Fatalf("%s gets\n%s\nwant as unknown ones\n%s", other, texts[other], texts["unknown"])
						}
					}

					if !need.Soaking() {
						return
					}

					tt, apart := welch(times["unknown"], times[other])
					t.Logf("%d pairs: Welch's t %.2f, means %.2f %% apart", pairs, tt, 100*apart)

					if math.Abs(tt) >= 4.5 {
						t.Errorf("t of the times = %.1f, want less than 4.5: the time depends on the user", tt)
					}
				})
			}
		}
	}
}

// startWithImported starts a server with the user diane and one for each imported hash.
func startWithImported(t *testing.T, config string) (*Server, *Client) {
	t.Helper()

	dir := t.TempDir()
	conf, users := filepath.Join(dir, "jeton.yaml"), filepath.Join(dir, "users.csv")
	rows := "name,password_hash\n"
	for name, hash := range importedHashes {
		rows += name + "," + hash + "\n"
	}

	for path, text := range map[string]string{conf: config, users: rows} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	s := Start(t, Options{Config: conf})
	s.Must(t, "correct horse battery\n", "user", "add", "diane", "--password-stdin")
	s.Must(t, "", "user", "import", users)

	c := s.Client(t)
	for _, name := range slices.Sorted(maps.Keys(importedHashes)) {
		guess(t, s, c, "form", name, "wrong") // shows the server how long the format takes
	}

	return s, c
}
