package jetontest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// A test with a service that counts uses: three are granted, then none.
func Example() {
	t := &standIn{}
	defer t.end()

	s := jetontest.Start(t, `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - {match: GET /voucher, max_uses: 3, respond: {text: here it is}}
`)

	s.AddUser("diane", "correct horse battery")
	c := s.Client(jetontest.Jar())
	s.Login(c, "shop", "diane", "correct horse battery")

	for range 4 {
		resp, err := c.Get(s.URL("shop") + "/voucher")
		if err != nil {
			t.Fatal(err)
		}

		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(
			resp.StatusCode, "left:", resp.Header.Get("Jeton-Uses-Remaining"),
			resp.Header.Get("Jeton-Error"), len(body) > 0,
		)
	}
	// Output:
	// 200 left: 2  true
	// 200 left: 1  true
	// 200 left: 0  true
	// 403 left: 0 spent true
}

// standIn replaces the *testing.T, which an example does not have.
type standIn struct {
	testing.TB
	ends []func()
}

func (t *standIn) Helper()                      {}
func (t *standIn) Context() context.Context     { return context.Background() }
func (t *standIn) Cleanup(f func())             { t.ends = append(t.ends, f) }
func (t *standIn) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (t *standIn) Fatalf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }
func (t *standIn) Errorf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }

func (t *standIn) TempDir() string {
	dir, err := os.MkdirTemp("", "jeton-example-")
	if err != nil {
		panic(err)
	}

	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *standIn) end() {
	for i := len(t.ends) - 1; i >= 0; i-- {
		t.ends[i]()
	}
}
