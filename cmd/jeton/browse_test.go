package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// browse is the browser of scripts: it loads an address, signs in as the user of the environment variable BROWSE_AS,
// and follows where that leads, as a user would. With the argument --device it reads the address and a code from what
// jeton login prints, which it prints again, and allows the sign-in.
func browse() {
	log.SetFlags(0)
	address := os.Args[1]

	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}

	b := scripted{&http.Client{
		Jar:     jar,
		Timeout: 5 * time.Minute, // a password is slow to verify beside other tests
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // a server of the same script
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}

	if address != "--device" {
		page, status := b.signIn(address)
		fmt.Printf("%d %s\n", status, page)
		return
	}

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(lines.Text())

		page := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(page, "https://") && lines.Scan() {
			b.signIn(page)
			b.follow(http.MethodPost, page, url.Values{
				"user_code": {strings.TrimSpace(lines.Text())},
				"answer":    {"allow"},
			})
		}
	}
}

// signIn loads an address, and signs in if it leads to that page. It returns the address and the status at the end.
func (b scripted) signIn(address string) (string, int) {
	page, status := b.follow(http.MethodGet, address, nil)
	if !strings.Contains(page, "/sign-in") {
		return page, status
	}

	return b.follow(http.MethodPost, page, url.Values{
		"username": {os.Getenv("BROWSE_AS")},
		"password": {"correct horse battery"},
	})
}

// scripted is a browser without pages.
type scripted struct{ client *http.Client }

// follow sends a request, follows redirects by GET, and returns the address and the status at the end.
func (b scripted) follow(method, address string, form url.Values) (string, int) {
	for range 20 {
		r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
		if err != nil {
			log.Fatal(err)
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")

		resp, err := b.client.Do(r)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()

		to := resp.Header.Get("Location")
		if to == "" {
			to = strings.TrimPrefix(resp.Header.Get("Refresh"), "0;url=")
		}
		if to == "" {
			return address, resp.StatusCode
		}

		next, err := resp.Request.URL.Parse(to)
		if err != nil {
			log.Fatal(err)
		}
		method, address, form = http.MethodGet, next.String(), nil
	}

	log.Fatal("more than 20 redirects")

	return "", 0
}

func TestTheBrowserIsTheOneOfTheEnvironment(t *testing.T) {
	const address = "https://auth.example/?a=b&c=d"

	for _, tc := range []struct {
		name    string
		browser string
		system  string
		want    string
	}{
		{"a program", "firefox", "linux", "firefox ADDRESS"},
		{"with an argument", "firefox --new-window", "linux", "firefox --new-window ADDRESS"},
		{"with a place for the address", "w3m %s -dump", "linux", "w3m ADDRESS -dump"},
		{"a list of programs", "firefox:w3m %s -dump", "linux", "firefox ADDRESS, w3m ADDRESS -dump"},
		{"a list with nothing in a place", ":firefox:", "linux", "firefox ADDRESS"},
		{"a path of Windows", `C:\browser.exe`, "windows", `C:\browser.exe ADDRESS`},
		{"none on Linux", "", "linux", "xdg-open ADDRESS"},
		{"none on macOS", "", "darwin", "open ADDRESS"},
		{"none on Windows", "", "windows", "rundll32 url.dll,FileProtocolHandler ADDRESS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var commands []string
			for _, argv := range browserCommands(tc.browser, tc.system, address) {
				commands = append(commands, strings.Join(argv, " "))
			}

			got := strings.ReplaceAll(strings.Join(commands, ", "), address, "ADDRESS")
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
