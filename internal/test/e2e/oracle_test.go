package e2e

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
)

const oracleConf = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
admin: {listen: "127.0.0.1:${ADMIN_PORT}"}
services:
  - name: app
    listen: localhost:${PORT}
    login: {paths: [/login]}
    accept: [session, basic]
    routes:
      - match: GET /who
        respond: {json: {name: "{{.Name}}"}}
`

// A stranger cannot tell a name that nobody has from a wrong password: not by what is
// answered, and, which takes quiet and time and is looked at by 'make soak', not by how
// long it takes (Welch's t below 4.5 over 500 interleaved pairs, means within 1 %).
func TestUnknownNamesAndWrongPasswordsAreAlike(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "jeton.yaml")
	if err := os.WriteFile(conf, []byte(oracleConf), 0o600); err != nil {
		t.Fatal(err)
	}

	s := Start(t, Options{Config: conf})
	s.Must(t, "correct horse battery\n", "user", "add", "diane", "--password-stdin")
	s.Must(t, "correct horse battery\n", "user", "add", "gone", "--password-stdin")
	s.Must(t, "", "user", "disable", "gone")
	c := s.Client(t)

	ask := func(door, name, password string) (Answer, time.Duration) {
		r, err := http.NewRequest(http.MethodGet, s.URL+"/who", nil)
		if door == "form" {
			form := url.Values{"username": {name}, "password": {password}}
			r, err = http.NewRequest(http.MethodPost, s.URL+"/login", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		} else {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
		}

		if err != nil {
			t.Fatal(err)
		}

		start := time.Now()
		a, err := c.Send(r)
		took := time.Since(start)

		if err != nil {
			t.Fatal(err)
		}

		return a, took
	}

	pairs := 20
	if need.Soaking() {
		pairs = 500
	}

	for _, door := range []string{"form", "basic"} {
		for _, other := range []string{"diane", "gone"} {
			t.Run(door+", nobody and "+other, func(t *testing.T) {
				var unknown, wrong []float64
				for i := range pairs {
					password := "wrong" + string(rune('a'+i%26)) + strings.Repeat("x", i%7)
					order := []string{"nobody", other}

					if i%2 == 1 {
						slices.Reverse(order)
					}

					texts := map[string]string{}
					for _, name := range order {
						a, took := ask(door, name, password)
						texts[name] = told(a)

						if name == "nobody" {
							unknown = append(unknown, took.Seconds())
						} else {
							wrong = append(wrong, took.Seconds())
						}
					}

					if texts["nobody"] != texts[other] || !strings.HasPrefix(texts[other], "401\n") {
						t.Fatalf("nobody is told\n%s\nand %s\n%s", texts["nobody"], other, texts[other])
					}
				}

				if !need.Soaking() {
					return
				}

				tt, apart := welch(unknown, wrong)
				t.Logf("%d pairs: Welch's t %.2f, means %.2f %% apart", pairs, tt, 100*apart)

				if math.Abs(tt) >= 4.5 || math.Abs(apart) >= 0.01 {
					t.Error("the time tells which it was")
				}
			})
		}
	}
}

// told is everything that an answer tells, but for the id and the time of the request.
func told(a Answer) string {
	a.Header.Del("X-Request-Id")
	a.Header.Del("Date")
	var b strings.Builder
	fmt.Fprintln(&b, a.Status)
	_ = a.Header.Write(&b)

	return b.String() + regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(a.Body, "")
}

// welch compares two samples, without the slowest tenth of each, which is the machine's.
func welch(a, b []float64) (t, apart float64) {
	ma, va := moments(a)
	mb, vb := moments(b)
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b))), (ma - mb) / mb
}

func moments(x []float64) (mean, variance float64) {
	x = slices.Sorted(slices.Values(x))
	x = x[:len(x)*9/10]
	for _, v := range x {
		mean += v / float64(len(x))
	}

	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x)-1)
	}

	return mean, variance
}
