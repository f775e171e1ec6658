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
issuer:
  url: https://localhost:${ISSUER_PORT}
  listen: localhost:${ISSUER_PORT}
services:
  - name: app
    listen: localhost:${PORT}
    login: {paths: [/login]}
    accept: [session, basic]
    routes:
      - match: GET /who
        respond: {json: {name: "{{.Name}}"}}
`

// A client cannot distinguish an unknown name from a wrong password: not by the answer,
// nor by its time (Welch's t below 4.5 over 500 interleaved pairs, means within 1 %).
// The time is checked by 'make soak', as it takes a quiet machine.
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

	pairs := 4
	if need.Soaking() {
		pairs = 500
	}

	for _, endpoint := range []string{"form", "basic", "page"} {
		for _, other := range []string{"diane", "gone"} {
			t.Run(endpoint+", unknown and "+other, func(t *testing.T) {
				var unknown, wrong []float64
				for i := range pairs {
					password := "wrong" + string(rune('a'+i%26)) + strings.Repeat("x", i%7)
					order := []string{"unknown", other}

					if i%2 == 1 {
						slices.Reverse(order)
					}

					texts := map[string]string{}
					for _, name := range order {
						a, took := guess(t, s, c, endpoint, name, password)
						texts[name] = strings.ReplaceAll(answerText(a), name, "NAME")

						if name == "unknown" {
							unknown = append(unknown, took.Seconds())
						} else {
							wrong = append(wrong, took.Seconds())
						}
					}

					if texts["unknown"] != texts[other] || !strings.HasPrefix(texts[other], "401\n") {
						t.Fatalf("%s gets\n%s\nwant as unknown ones\n%s", other, texts[other], texts["unknown"])
					}
				}

				if !need.Soaking() {
					return
				}

				tt, apart := welch(unknown, wrong)
				t.Logf("%d pairs: Welch's t %.2f, means %.2f %% apart", pairs, tt, 100*apart)

				if math.Abs(tt) >= 4.5 || math.Abs(apart) >= 0.01 {
					t.Error("the time depends on whether the user exists, want t below 4.5 and 1 % of difference")
				}
			})
		}
	}
}

// guess tries a name and a password, and returns the answer and how long it took.
func guess(t *testing.T, s *Server, c *Client, endpoint, name, password string) (Answer, time.Duration) {
	t.Helper()

	address := map[string]string{
		"form":  s.URL + "/login",
		"page":  s.Issuer + "/sign-in",
		"basic": s.URL + "/who",
	}[endpoint]

	r, err := http.NewRequest(http.MethodGet, address, nil)
	if endpoint != "basic" {
		form := url.Values{"username": {name}, "password": {password}}
		r, err = http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
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

// answerText returns the text of an answer without the ID, the time and the length.
func answerText(a Answer) string {
	id := a.Header.Get("X-Request-Id") // a page shows it, too
	a.Header.Del("X-Request-Id")
	a.Header.Del("Date")
	a.Header.Del("Content-Length") // the body is compared; a page has the name that was typed

	var b strings.Builder
	fmt.Fprintln(&b, a.Status)
	_ = a.Header.Write(&b)

	body := regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(a.Body, "")

	return b.String() + strings.ReplaceAll(body, id, "")
}

// welch compares two samples, without the slowest tenth of each, which is the machine's.
func welch(a, b []float64) (t, apart float64) {
	ma, va := moments(a)
	mb, vb := moments(b)
	return (ma - mb) / math.Sqrt(va/float64(len(a))+vb/float64(len(b))), (ma - mb) / mb
}

// moments returns the mean and the variance without the slowest tenth: on a busy machine
// those are about something else.
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
