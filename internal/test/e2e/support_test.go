//go:build unix

package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/jackc/pgx/v5"
)

// supportConfig has a secret in each key that can have one. They begin with "canary".
const supportConfig = `
database: {url: '%[1]s'}
admin: {listen: "127.0.0.1:%[2]s", allow: [127.0.0.1], token_file: '%[3]s/admin'}
tracing: {endpoint: "http://127.0.0.1:9/canary-path", headers_file: '%[3]s/headers'}
issuer: {url: "https://localhost:%[4]s", listen: "localhost:%[4]s"}
mail: {from: a@example.org, smtp: {host: mail.invalid, user: canary-user, password_file: '%[3]s/mail'}}
users:
  - name: crash
    password_hash: $argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$emnsGCvSMvEhynHpN/kQLguF314Dp4WxmhBLVwYEtTM
clients:
  - name: wiki
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0
    openid: {redirect_uris: ["https://wiki.example/canary-redirect"]}
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {}
    accept: [session, token]
    users_api: {}
    routes:
      - match: /free
        respond: {text: canary-answer}
`

// supportFiles are the files of supportConfig.
var supportFiles = map[string]string{
	"admin":   "canary-of-the-admin-listener-0123456789",
	"headers": "Authorization: Bearer canary-of-the-receiver",
	"mail":    "canary-of-the-mail-server",
}

func TestAReportForSupportHasNodesAndMetricsAndNoSecret(t *testing.T) {
	pg := pgtest.Start(t)
	name, err := pg.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	for file, text := range supportFiles {
		write(t, filepath.Join(dir, file), text+"\n")
	}
	o := Options{
		DataDir: filepath.Join(t.TempDir(), "data"),
		Config:  file(t, fmt.Sprintf(supportConfig, pg.TCP(name), FreePort(t), dir, FreePort(t))),
	}
	s := Start(t, o)
	c := s.Client(t)
	cookies := c.MustLogin(t, crashName, crashPW)
	wish := map[string]any{"name": "a token", "expires_at": time.Now().Add(time.Hour)}
	a, err := c.json(http.MethodPost, "/api/v1/users/me/tokens", "Cookie", cookies, wish)
	var made struct{ Token string }
	err = errors.Join(err, json.Unmarshal([]byte(a.Body), &made))
	if err != nil || made.Token == "" {
		t.Fatalf("new token = %v, %v, want one", a, err)
	}

	insertSecrets(t, pg.TCP(name))
	report := filepath.Join(t.TempDir(), "report.tar.gz")
	o.support(t, report)
	files := unpack(t, report)

	for file, want := range map[string]string{
		"metrics.txt":   "\njeton_build_info{",
		"database.json": `"nodes": [`,
		"missing.json":  "{}",
		"doctor.json":   `"name": "mail"`,
		"config.json":   `"name": "shop"`,
	} {
		if !strings.Contains(files[file], want) {
			t.Errorf("%s = %q, want %q in it", file, files[file], want)
		}
	}
	var inventory struct{ Nodes []string }
	if err := json.Unmarshal([]byte(files["database.json"]), &inventory); err != nil || len(inventory.Nodes) != 1 {
		t.Errorf("nodes = %v, %v, want the one that is running", inventory.Nodes, err)
	}

	_, session, _ := strings.Cut(cookies, "=")
	secret, err := os.ReadFile(filepath.Join(o.DataDir, "keys.secret"))
	if err != nil {
		t.Fatal(err)
	}
	wantNone(t, files, []string{
		"canary", "Y2FuYXJ5", hex.EncodeToString([]byte("canary")),
		"argon2id", "1ec1c26b50d5d3c58d9583181af8076655fe0075", pgtest.Password,
		session, made.Token, strings.TrimSpace(string(secret)), "PRIVATE KEY", "jtn_",
	})
}

// insertSecrets adds rows with secrets or personal data, which begin with "canary": an authenticator app, a recovery
// code, the key of failed attempts and a mail that waits.
func insertSecrets(t *testing.T, url string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()

	const later = int64(1) << 60
	_, err = db.Exec(t.Context(), `
INSERT INTO failed_attempts (name, gone) VALUES ('canary-of-attempts', 1);
INSERT INTO factors (
  id, account, kind, name, created, confirmed, used, handle, secret, counter, flags, transports, model)
VALUES ('canary-app', 0, 'totp', 'canary-phone', 0, 0, -1, NULL, 'canary-seed', 0, 0, '', ''),
       ('canary-code', 0, 'recovery', '', 0, 0, -1, 'canary-hash', '', 1, 0, '', '');
`)
	if err == nil {
		_, err = db.Exec(t.Context(), `
INSERT INTO mails (id, kind, account, recipient, language, facts, created, expires, due, tries)
VALUES ('canary-mail', 'recovery', 0, 'canary@example.org', 'en', '{"link": "canary-link"}', 0, $1, $1, 0)`, later)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// support writes a report.
func (o Options) support(t *testing.T, file string) {
	t.Helper()
	o.Must(t, "", "support", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("report = %v, %v, want a file that its owner alone can read", info, err)
	}
}

// wantNone fails the test for each secret that is in a file.
func wantNone(t *testing.T, files map[string]string, secrets []string) {
	t.Helper()
	for name, text := range files {
		for _, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s has the secret %q in it:\n%s", name, secret, text)
			}
		}
	}
}

// unpack returns the files of a report.
func unpack(t *testing.T, report string) map[string]string {
	t.Helper()
	f, err := os.Open(report)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}

	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Base(h.Name)] = string(text)
	}
}
