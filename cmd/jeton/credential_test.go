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

// end is when the tokens of these tests end.
var end = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func shown(text string, expires time.Time) credential {
	return credential{
		origin:  "https://git.example:8443",
		name:    "diane",
		token:   jeton.NewSecret(text),
		expires: expires,
	}
}

func TestWhatGitIsAnswered(t *testing.T) {
	for _, tc := range []struct {
		name, asked string
		expires     time.Time
		want        string
	}{
		{
			"a git that can send a name and a password alone",
			"protocol=https\nhost=git.example\n\n",
			end,
			"username=diane\npassword=jtn_p_1\npassword_expiry_utc=1772366400\n",
		},
		{
			"an end that is not known",
			"protocol=https\nhost=git.example\n",
			time.Time{},
			"username=diane\npassword=jtn_p_1\n",
		},
		{
			"a user name that was asked for stays",
			"protocol=https\nhost=git.example\nusername=x-token\n",
			time.Time{},
			"username=x-token\npassword=jtn_p_1\n",
		},
		{"a git that can send a header", "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example\nwwwauth[]=Basic realm=\"x=y\"\n\n", end,
			"capability[]=authtype\nauthtype=Bearer\ncredential=jtn_p_1\nephemeral=1\npassword_expiry_utc=1772366400\n"},
		{
			"a capability that was taken back",
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
			"what follows the empty line is not part of it",
			"protocol=https\n\ncapability[]=authtype\n",
			time.Time{},
			"username=diane\npassword=jtn_p_1\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q, err := parseGit([]byte(tc.asked))
			if err != nil || q.protocol != "https" {
				t.Fatalf("parseGit = %+v, %v", q, err)
			}

			got := q.answer(shown("jtn_p_1", tc.expires))
			if got != tc.want {
				t.Errorf("answer = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatGitNeverAsksIsRefused(t *testing.T) {
	for _, tc := range []struct{ name, asked string }{
		{"a line without =", "protocol=https\nsecret-word\n"},
		{"a carriage return", "protocol=https\r\nhost=secret-word\r\n"},
		{"a zero byte", "protocol=https\x00secret-word\n"},
		{"no text", "protocol=\xff\xfe\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := parseGit([]byte(tc.asked)); !errors.Is(
				err,
				jeton.ErrInvalid,
			) || strings.Contains(err.Error(), "secret-word") {
				t.Errorf("parseGit: %v, want ErrInvalid that repeats nothing", err)
			}
		})
	}
}

func TestUserNameThatGitAsksFor(t *testing.T) {
	list := []wallet.Info{
		{Name: "ci", Username: "robot"},
		{Name: "work", Username: "diane"},
		{Name: "job", Username: "diane"},
		{Name: "diane", Username: "someone"},
	}

	for _, tc := range []struct{ name, asked, want string }{
		{"the name of an identity goes first", "diane", "diane"},
		{"the user of one", "robot", "ci"},
		{"nobody", "mallory", ""},
	} {
		if got, err := byUsername(list, tc.asked); got != tc.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}

	if got, err := byUsername(list[:3], "diane"); got != "" || !errors.Is(err, jeton.ErrAmbiguous) {
		t.Errorf("the user of two: %q, %v, want ErrAmbiguous", got, err)
	}
}

// FuzzParseGit checks that what is read of git's words is in them, and that the answer is
// of lines that nobody can add one to.
func FuzzParseGit(f *testing.F) {
	f.Add([]byte("capability[]=authtype\nprotocol=https\nhost=git.example\nusername=diane\n\n"))
	f.Add([]byte("protocol=https\nhost=git.example\nusername=a=b\n\nrest"))
	f.Add([]byte("=\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		q, err := parseGit(text)
		if err != nil {
			return
		}

		for _, value := range []string{q.protocol, q.host, q.username} {
			if value != "" && !strings.Contains(string(text), "="+value) || strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("read %q", value)
			}
		}

		lines := 2
		if q.authtype {
			lines = 4
		}

		got := q.answer(shown("token", time.Time{}))
		if strings.Count(got, "\n") != lines {
			t.Errorf("answer = %q", got)
		}
	})
}

func TestWhereDockerMeans(t *testing.T) {
	for _, tc := range []struct{ name, server, want string }{
		{"a host", "registry.example\n", "https://registry.example http://registry.example"},
		{"a host and a port", "LOCALHOST:5000", "https://localhost:5000 http://localhost:5000"},
		{"the one of docker itself", "https://index.docker.io/v1/", "https://index.docker.io"},
		{"a host and a path", "registry.example/v2/", "https://registry.example http://registry.example"},
		{"plain http", "http://localhost:5000", "http://localhost:5000"},
		{"another scheme", "ftp://registry.example", ""},
		{"somebody at a host", "diane@registry.example", ""},
		{"nothing", "", ""},
	} {
		var got []string
		for _, o := range dockerOrigins(tc.server) {
			got = append(got, string(o))
		}

		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, got, tc.want)
		}
	}
}

// FuzzDocker checks that every place that docker can mean is an origin in its normal form,
// and that what it stores is read without a fault that shows it.
func FuzzDocker(f *testing.F) {
	f.Add("registry.example")
	f.Add("https://index.docker.io/v1/")
	f.Add(`{"ServerURL":"registry.example","Username":"diane","Secret":"canary"}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range dockerOrigins(text) {
			if again, err := wallet.ParseOrigin(string(o)); err != nil || again != o {
				t.Errorf("%q: %q is %q, %v", text, o, again, err)
			}
		}

		in, err := parseStore([]byte(text))
		if err == nil && in.ServerURL == "" {
			t.Errorf("stored nowhere")
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows what was to be stored: %v", err)
		}
	})
}

func TestVersionThatKubectlAsksFor(t *testing.T) {
	info := func(version string) string {
		return `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/` + version +
			`","spec":{"interactive":false}}`
	}

	for _, tc := range []struct {
		name, info string
		beta       bool
		want, says string
	}{
		{"it does not say", "", false, execV1, ""},
		{"v1", info("v1"), false, execV1, ""},
		{"v1beta1", info("v1beta1"), false, "", "--v1beta1"},
		{"v1beta1, and that is wanted", info("v1beta1"), true, execV1beta, ""},
		{"v1, and the old one is wanted", info("v1"), true, "", "v1beta1"},
		{"one that is not known", info("v7"), false, "", "v7"},
		{"no JSON", "v1", false, "", "no ExecCredential"},
		{"another kind", `{"kind":"Pod","apiVersion":"v1"}`, false, "", "no ExecCredential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := execVersion(tc.info, tc.beta)
			if got != tc.want || tc.want == "" && (!errors.Is(
				err,
				jeton.ErrInvalid,
			) || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%q, %v; want %q that says %q", got, err, tc.want, tc.says)
			}
		})
	}
}

func TestNameThatEveryHelperCanShow(t *testing.T) {
	for _, tc := range []struct{ name, username, want string }{
		{"a plain one", "diane@shop.example", "diane@shop.example"},
		{"one with a blank", "diane smith", "job"},
		{"one that would end the line", "diane\npassword=x", "job"},
		{"one with the colon of Basic", "diane:x", "job"},
		{"none", "", "job"},
	} {
		got := basicName(wallet.Info{Name: "job", Username: tc.username})
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}

	line, err := netrcLine(shown("jtn_p_1", end))
	if want := "machine git.example login diane password jtn_p_1"; line != want || err != nil {
		t.Errorf("netrcLine = %q, %v, want %q", line, err, want)
	}
	if _, err := netrcLine(shown(strings.Repeat("a", 4000), end)); !errors.Is(err, jeton.ErrTooLarge) {
		t.Errorf("a line that curl cuts: %v, want ErrTooLarge", err)
	}
}

func TestWhatAProgramAsksIsBounded(t *testing.T) {
	if _, err := readInput(strings.NewReader(strings.Repeat("a", maxInput+1))); !errors.Is(err, jeton.ErrTooLarge) {
		t.Errorf("64 KiB and a byte: %v, want ErrTooLarge", err)
	}
	if text, err := readInput(strings.NewReader(strings.Repeat("a", maxInput))); err != nil || len(text) != maxInput {
		t.Errorf("64 KiB: %d, %v", len(text), err)
	}
}

func TestFileOfAWebIdentity(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jeton.jwt")
	if err := os.WriteFile(path, []byte("the old one"), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, opaque := range []string{"jtn_a_opaque", "of.another.maker", "eyJa"} {
		if err := writeWebIdentity(
			path,
			shown(opaque, end),
		); !errors.Is(err, jeton.ErrInvalid) || !strings.Contains(err.Error(), "format: jwt") {
			t.Errorf("an opaque token: %v, want ErrInvalid that tells what to do", err)
		}
	}

	if text, _ := os.ReadFile(path); string(text) != "the old one" {
		t.Errorf("a failure left %q", text)
	}
	if err := writeWebIdentity(path, shown("eyJa.eyJb.c", end)); err != nil {
		t.Fatal(err)
	}

	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	if text, _ := os.ReadFile(path); string(text) != "eyJa.eyJb.c" ||
		info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file holds %q, mode %v", text, info.Mode())
	}

	if err := writeWebIdentity(
		filepath.Join(dir, "none", "jeton.jwt"),
		shown("eyJa.eyJb.c", end),
	); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}

	list, _ := os.ReadDir(dir)
	if len(list) != 1 {
		t.Errorf("%d files are left, want 1", len(list))
	}

	for _, path := range []string{"/home/di ane/x", "/tmp/$(id)", "/tmp/a'b", "/tmp/a\nb"} {
		if _, err := webIdentityFile(path, ""); exitCode(err) != exitUsage {
			t.Errorf("%q: %v, want a mistake in how it was called", path, err)
		}
		if _, err := webIdentityFile("/tmp/x", path); exitCode(err) != exitUsage {
			t.Errorf("role %q: %v, want a mistake in how it was called", path, err)
		}
	}
}

func TestFileIsKeptFresh(t *testing.T) {
	broken := errors.New("the issuer is not there")
	now := end.Add(-time.Hour)
	old, fresh := shown("eyJa.old.c", end), shown("eyJa.new.c", end.Add(time.Hour))

	steps := []struct {
		wait time.Duration
		next credential
		err  error
	}{
		{15 * time.Minute, old, nil}, // it is good for an hour, but a clock may jump
		{15 * time.Minute, old, nil},
		{15 * time.Minute, credential{}, broken},
		{7*time.Minute + 30*time.Second, fresh, nil},
		{15 * time.Minute, credential{}, broken}, // of the new one
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
		t.Errorf(
			"%d steps, written %v, %d complaints; want all, the new token once, and one that is not of the end",
			at,
			written,
			complaints,
		)
	}
}

func TestNameThatTheProgramIsCalledBy(t *testing.T) {
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
			t.Errorf("%s: %s, want %s", tc.argv, got, tc.want)
		}
	}
}
