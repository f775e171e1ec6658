package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"
)

// expiry is when the tokens of these tests expire.
var expiry = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func credentialWith(text string, expires time.Time) credential {
	return credential{
		origin:  "https://git.example:8443",
		name:    "diane",
		token:   jeton.NewSecret(text),
		expires: expires,
	}
}

func TestGitGetsTheFormItSupports(t *testing.T) {
	for _, tc := range []struct {
		name, request string
		expires       time.Time
		want          string
	}{
		{
			"git without the capability authtype",
			"protocol=https\nhost=git.example\n\n",
			expiry,
			"username=diane\npassword=jtn_p_1\npassword_expiry_utc=1772366400\n",
		},
		{
			"an unknown expiry",
			"protocol=https\nhost=git.example\n",
			time.Time{},
			"username=diane\npassword=jtn_p_1\n",
		},
		{
			"a requested user name is repeated",
			"protocol=https\nhost=git.example\nusername=x-token\n",
			time.Time{},
			"username=x-token\npassword=jtn_p_1\n",
		},
		{
			"git with the capability authtype",
			"capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example\n" +
				"wwwauth[]=Basic realm=\"x=y\"\n\n",
			expiry,
			"capability[]=authtype\nauthtype=Bearer\ncredential=jtn_p_1\nephemeral=1\npassword_expiry_utc=1772366400\n",
		},
		{
			"a reset capability",
			"capability[]=authtype\ncapability[]=\nprotocol=https\n",
			time.Time{},
			"username=diane\npassword=jtn_p_1\n",
		},
		{
			"another capability",
			"capability[]=state\nprotocol=https\n",
			time.Time{},
			"username=diane\npassword=jtn_p_1\n",
		},
		{
			"lines after the empty line are ignored",
			"protocol=https\n\ncapability[]=authtype\n",
			time.Time{},
			"username=diane\npassword=jtn_p_1\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := parseGit([]byte(tc.request))
			if err != nil || req.protocol != "https" {
				t.Fatalf("parseGit = %+v, %v; want protocol https", req, err)
			}

			got := req.response(credentialWith("jtn_p_1", tc.expires))
			if got != tc.want {
				t.Errorf("response = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestInvalidGitRequestsAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, request string }{
		{"a line without =", "protocol=https\nsecret-word\n"},
		{"a carriage return", "protocol=https\r\nhost=secret-word\r\n"},
		{"a zero byte", "protocol=https\x00secret-word\n"},
		{"invalid UTF-8", "protocol=\xff\xfe\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseGit([]byte(tc.request))
			if !errors.Is(err, jeton.ErrInvalid) || strings.Contains(err.Error(), "secret-word") {
				t.Errorf("parseGit = %v, want ErrInvalid without the text", err)
			}
		})
	}
}

func TestAUserNameOfGitChoosesAnIdentity(t *testing.T) {
	list := []wallet.Info{
		{Name: "ci", Username: "robot"},
		{Name: "work", Username: "diane"},
		{Name: "job", Username: "diane"},
		{Name: "diane", Username: "someone"},
	}

	for _, tc := range []struct{ name, request, want string }{
		{"the name of an identity comes first", "diane", "diane"},
		{"the user of one identity", "robot", "ci"},
		{"an unknown name", "mallory", ""},
	} {
		if got, err := byUsername(list, tc.request); got != tc.want || err != nil {
			t.Errorf("%s: byUsername = %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}

	if got, err := byUsername(list[:3], "diane"); got != "" || !errors.Is(err, jeton.ErrAmbiguous) {
		t.Errorf("the user of two identities: byUsername = %q, %v; want ErrAmbiguous", got, err)
	}
}

// FuzzParseGit checks that the values are parts of the request, and that no value can add a line
// to the response.
func FuzzParseGit(f *testing.F) {
	f.Add([]byte("capability[]=authtype\nprotocol=https\nhost=git.example\nusername=diane\n\n"))
	f.Add([]byte("protocol=https\nhost=git.example\nusername=a=b\n\nrest"))
	f.Add([]byte("=\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		req, err := parseGit(text)
		if err != nil {
			return
		}

		for _, value := range []string{req.protocol, req.host, req.username} {
			if value != "" && !strings.Contains(string(text), "="+value) || strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("parseGit read %q, which is not a value of the request", value)
			}
		}

		lines := 2
		if req.authtype {
			lines = 4
		}

		got := req.response(credentialWith("token", time.Time{}))
		if strings.Count(got, "\n") != lines {
			t.Errorf("response = %q, want %d lines", got, lines)
		}
	})
}

func TestARegistryIsLookedUpAtItsOrigins(t *testing.T) {
	for _, tc := range []struct{ name, server, want string }{
		{"a host", "registry.example\n", "https://registry.example http://registry.example"},
		{"a host and a port", "LOCALHOST:5000", "https://localhost:5000 http://localhost:5000"},
		{"Docker Hub", "https://index.docker.io/v1/", "https://index.docker.io"},
		{"a host and a path", "registry.example/v2/", "https://registry.example http://registry.example"},
		{"plain http", "http://localhost:5000", "http://localhost:5000"},
		{"another scheme", "ftp://registry.example", ""},
		{"a user and a host", "diane@registry.example", ""},
		{"empty", "", ""},
	} {
		var got []string
		for _, o := range dockerOrigins(tc.server) {
			got = append(got, string(o))
		}

		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: dockerOrigins = %v, want %s", tc.name, got, tc.want)
		}
	}
}

// FuzzDocker checks that dockerOrigins returns origins in their normal form, and that no error
// of parseStore contains the secret.
func FuzzDocker(f *testing.F) {
	f.Add("registry.example")
	f.Add("https://index.docker.io/v1/")
	f.Add(`{"ServerURL":"registry.example","Username":"diane","Secret":"canary"}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range dockerOrigins(text) {
			if again, err := wallet.ParseOrigin(string(o)); err != nil || again != o {
				t.Errorf("dockerOrigins(%q) has %q; ParseOrigin = %q, %v", text, o, again, err)
			}
		}

		in, err := parseStore([]byte(text))
		if err == nil && in.ServerURL == "" {
			t.Errorf("parseStore(%q) = nil, want an error: ServerURL is missing", text)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("parseStore(%q) = %v, want an error without the secret", text, err)
		}
	})
}

func TestKubectlGetsTheVersionItAccepts(t *testing.T) {
	info := func(version string) string {
		return `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/` + version +
			`","spec":{"interactive":false}}`
	}

	for _, tc := range []struct {
		name, info string
		beta       bool
		want, text string
	}{
		{"no version", "", false, execV1, ""},
		{"v1", info("v1"), false, execV1, ""},
		{"v1beta1", info("v1beta1"), false, "", "--v1beta1"},
		{"v1beta1 with --v1beta1", info("v1beta1"), true, execV1beta, ""},
		{"v1 with --v1beta1", info("v1"), true, "", "v1beta1"},
		{"an unknown version", info("v7"), false, "", "v7"},
		{"not JSON", "v1", false, "", "no ExecCredential"},
		{"another kind", `{"kind":"Pod","apiVersion":"v1"}`, false, "", "no ExecCredential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := execVersion(tc.info, tc.beta)
			if got != tc.want ||
				tc.want == "" && (!errors.Is(err, jeton.ErrInvalid) || !strings.Contains(err.Error(), tc.text)) {
				t.Errorf("execVersion = %q, %v; want %q, %q", got, err, tc.want, tc.text)
			}
		})
	}
}

// TestANameThatAHelperCannotCarryIsReplaced has user names with characters that a helper's
// format gives a meaning to, such as a line break for git.
func TestANameThatAHelperCannotCarryIsReplaced(t *testing.T) {
	for _, tc := range []struct{ name, username, want string }{
		{"a plain name", "diane@shop.example", "diane@shop.example"},
		{"a blank", "diane smith", "job"},
		{"a line break", "diane\npassword=x", "job"},
		{"a colon", "diane:x", "job"},
		{"no user name", "", "job"},
	} {
		got := basicName(wallet.Info{Name: "job", Username: tc.username})
		if got != tc.want {
			t.Errorf("%s: basicName = %q, want %q", tc.name, got, tc.want)
		}
	}

}

func TestALineOfNetrc(t *testing.T) {
	line, err := netrcLine(credentialWith("jtn_p_1", expiry))
	want := "machine git.example login diane password jtn_p_1"
	if line != want || err != nil {
		t.Errorf("netrcLine = %q, %v; want %q", line, err, want)
	}
	if _, err := netrcLine(credentialWith(strings.Repeat("a", 4000), expiry)); !errors.Is(err, jeton.ErrTooLarge) {
		t.Errorf("a line longer than curl reads: netrcLine = %v, want ErrTooLarge", err)
	}
}

// TestInputIsLimited stands for a program that never ends its output.
func TestInputIsLimited(t *testing.T) {
	if _, err := readInput(strings.NewReader(strings.Repeat("a", maxInput+1))); !errors.Is(err, jeton.ErrTooLarge) {
		t.Errorf("64 KiB and a byte: readInput = %v, want ErrTooLarge", err)
	}
	if text, err := readInput(strings.NewReader(strings.Repeat("a", maxInput))); err != nil || len(text) != maxInput {
		t.Errorf("64 KiB: readInput = %d bytes, %v; want %d bytes", len(text), err, maxInput)
	}
}

// TestOnlyASignedTokenReplacesTheWebIdentityFile checks that a file with a valid token is
// not replaced by what AWS cannot read.
func TestOnlyASignedTokenReplacesTheWebIdentityFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jeton.jwt")
	if err := os.WriteFile(path, []byte("old token"), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, opaque := range []string{"jtn_a_opaque", "of.another.maker", "eyJa"} {
		err := writeWebIdentity(path, credentialWith(opaque, expiry))
		if !errors.Is(err, jeton.ErrInvalid) || !strings.Contains(err.Error(), "format: jwt") {
			t.Errorf("an opaque token: writeWebIdentity = %v, want ErrInvalid with format: jwt", err)
		}
	}

	if text, _ := os.ReadFile(path); string(text) != "old token" {
		t.Errorf("after a failure the file contains %q, want the old token", text)
	}
	if err := writeWebIdentity(path, credentialWith("eyJa.eyJb.c", expiry)); err != nil {
		t.Fatal(err)
	}

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	if text, _ := os.ReadFile(path); string(text) != "eyJa.eyJb.c" ||
		info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file contains %q, mode %v; want the new token, mode 600", text, info.Mode())
	}

	err = writeWebIdentity(filepath.Join(dir, "none", "jeton.jwt"), credentialWith("eyJa.eyJb.c", expiry))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: writeWebIdentity = %v, want ErrNotExist", err)
	}

	list, _ := os.ReadDir(dir)
	if len(list) != 1 {
		t.Errorf("%d files in the folder, want only the token's", len(list))
	}

}

func TestAPathThatNeedsQuotesIsRefused(t *testing.T) {
	for _, path := range []string{"/home/di ane/x", "/tmp/$(id)", "/tmp/a'b", "/tmp/a\nb"} {
		if _, err := webIdentityFile(path, ""); exitCode(err) != exitUsage {
			t.Errorf("path %q: %v, want a usage error", path, err)
		}
		if _, err := webIdentityFile("/tmp/x", path); exitCode(err) != exitUsage {
			t.Errorf("role %q: %v, want a usage error", path, err)
		}
	}
}

func TestTokenFileIsRenewed(t *testing.T) {
	broken := errors.New("the issuer does not answer")
	now := expiry.Add(-time.Hour)
	old, fresh := credentialWith("eyJa.old.c", expiry), credentialWith("eyJa.new.c", expiry.Add(time.Hour))

	steps := []struct {
		wait time.Duration
		next credential
		err  error
	}{
		{15 * time.Minute, old, nil}, // valid for an hour, but a clock may jump
		{15 * time.Minute, old, nil},
		{15 * time.Minute, credential{}, broken},
		{7*time.Minute + 30*time.Second, fresh, nil},
		{15 * time.Minute, credential{}, broken}, // for the new token
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	at := 0
	written := []string{}
	complaints := 0

	f := freshFile{
		get: func(context.Context) (credential, error) {
			s := steps[at]
			if at++; at == len(steps) {
				stop()
			}
			return s.next, s.err
		},
		put: func(c credential) error { written = append(written, c.token.Reveal()); return nil },
		wait: func(ctx context.Context, d time.Duration) error {
			if ctx.Err() == nil && d != steps[at].wait {
				t.Errorf("step %d waits %v, want %v", at, d, steps[at].wait)
			}
			now = now.Add(d)
			return ctx.Err()
		},
		now:      func() time.Time { return now },
		complain: func(error) { complaints++ },
	}

	f.run(ctx, old)
	if at != len(steps) || len(written) != 1 || written[0] != fresh.token.Reveal() || complaints != 1 {
		t.Errorf("%d steps, written %v, %d complaints; want %d steps, the new token once and 1 complaint",
			at, written, complaints, len(steps))
	}
}

func TestALinkWithAHelpersNameRunsTheHelper(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want string
	}{
		{[]string{"/usr/bin/jeton", "serve"}, "serve"},
		{[]string{"/usr/lib/git-core/git-credential-jeton", "get"}, "credential git get"},
		{[]string{"docker-credential-jeton", "--as", "ci", "list"}, "credential docker --as ci list"},
		{[]string{"git-credential-jeton.exe", "store"}, "credential git store"},
	} {
		got := strings.Join(called(tc.argv), " ")
		if got != tc.want {
			t.Errorf("called(%s) = %s, want %s", tc.argv, got, tc.want)
		}
	}
}
