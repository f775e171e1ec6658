package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton/internal/jose"
)

var (
	//go:embed flask.py
	flaskApp []byte
	//go:embed timed.py
	timedApp []byte
)

// flaskPython is the interpreter for which a distribution packages Flask.
const flaskPython = "/usr/bin/python3"

// flaskVersions returns the installed versions, or why the comparison is not possible.
func flaskVersions(ctx context.Context) (string, error) {
	const ask = `import flask, gunicorn, platform; from importlib.metadata import version; ` +
		`print("Python", platform.python_version() + ", Flask", version("flask") + ", gunicorn", gunicorn.__version__)`
	out, err := exec.CommandContext(ctx, flaskPython, "-I", "-c", ask).Output()
	if err != nil {
		return "", fmt.Errorf(
			"no Flask or gunicorn for %s (apt-get install python3-flask gunicorn)",
			flaskPython,
		)
	}

	return strings.TrimSpace(string(out)), nil
}

// pyJWTVersions is flaskVersions for the server of timed tokens.
func pyJWTVersions(ctx context.Context) (string, error) {
	flask, err := flaskVersions(ctx)
	if err != nil {
		return "", err
	}

	const ask = `import jwt, cryptography; print("PyJWT", jwt.__version__ + ", cryptography", cryptography.__version__)`
	out, err := exec.CommandContext(ctx, flaskPython, "-I", "-c", ask).Output()
	if err != nil {
		return "", fmt.Errorf(
			"PyJWT or cryptography is not installed for %s (apt-get install python3-jwt python3-cryptography)",
			flaskPython,
		)
	}

	return flask + ", " + strings.TrimSpace(string(out)), nil
}

// startPyJWT starts the teaching server of timed tokens, which knows one client.
func (b *bench) startPyJWT(ctx context.Context, client keyPair, cores []int) (*process, error) {
	own, err := newKeyPair(jose.OwnRSA) // as long as jeton's own: the signatures cost the same
	if err != nil {
		return nil, err
	}

	for name, text := range map[string][]byte{
		"timed.py":        timedApp,
		"timed.key":       own.private,
		"timed.pub":       own.public,
		"timedclient.pub": client.public,
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}

	p, err := b.gunicorn("timed", cores)
	return up(ctx, p, err)
}

// startFlask starts the Flask program with one worker of four threads, on the cores.
func (b *bench) startFlask(cores []int) (*process, error) {
	if err := os.WriteFile(filepath.Join(b.dir, "flaskapp.py"), flaskApp, 0o600); err != nil {
		return nil, err
	}
	return b.gunicorn("flaskapp", cores)
}

// gunicorn starts a Python program with one worker process, because the Flask program counts in
// the memory of its process.
func (b *bench) gunicorn(module string, cores []int) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	return launch("flask", addr, b.dir, cores, nil, flaskPython, "-m", "gunicorn", "--bind", addr,
		"--workers", "1", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "75", "--log-level", "warning",
		module+":app")
}

// flaskCookies logs in and returns the header with the session.
func flaskCookies(ctx context.Context, addr string) (string, error) {
	form := url.Values{"username": {userName(0)}, "password": {password}}
	r, err := http.NewRequestWithContext(
		ctx, http.MethodPost, "http://"+addr+"/login", strings.NewReader(form.Encode()),
	)
	if err != nil {
		return "", err
	}

	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()

	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("login at Flask: %s", answer.Status)
	}

	var pairs []string
	for _, c := range answer.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}

	return strings.Join(pairs, "; "), nil
}
