package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config"

	"github.com/jackc/pgx/v5/pgconn"
)

// secrets returns a folder with the files that full.yaml names. Git does not keep their mode.
func secrets(tb testing.TB) string {
	tb.Helper()
	folder := tb.TempDir()
	for name, text := range map[string]string{
		"db-password": "hunter2\n",
		"keys.secret": "not read here\n",
		"admin-token": "0123456789abcdef\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}

	return folder
}

// database reads a configuration with only a database.
func database(t *testing.T, text string, env ...string) *config.Database {
	t.Helper()
	c, err := config.Parse("etc/jeton.yaml", []byte("database: "+text+"\n"), environment(env...))
	if err != nil {
		t.Fatal(err)
	}

	return c.Database
}

func TestTheDefaultDatabaseIsSQLite(t *testing.T) {
	c, err := config.Parse("", []byte("{}"), environment())
	if err != nil || c.Database != nil || c.KeysSecretFile != "" {
		t.Errorf("Parse = %+v, %v, want no database", c, err)
	}
}

func TestDatabaseDefaults(t *testing.T) {
	for _, text := range []string{"postgres://db.example/jeton", "{url: 'postgres://db.example/jeton'}"} {
		d := database(t, text)
		if d.Connections != 12 || d.ConnectTimeout.Std() != 2*time.Second || d.StatementTimeout.Std() != time.Second ||
			d.Staleness.Std() != 250*time.Millisecond || d.AllowWeakTLS {
			t.Errorf("%s: got %+v, want the documented defaults", text, d)
		}
	}

	d := database(t, "{url: 'postgres://db.example/jeton', staleness: 0s}")
	if d.Staleness != 0 {
		t.Errorf("staleness = %v, want 0s", d.Staleness)
	}
}

// TestConnString gives the URL to pgx, which connects, and compares how pgx reads it.
func TestConnString(t *testing.T) {
	// The environment must not make TLS weaker, or choose another database.
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGSSLROOTCERT", "/nowhere/root.crt")
	t.Setenv("PGSSLCERT", "/nowhere/a.crt")
	t.Setenv("PGSSLKEY", "/nowhere/a.key")
	t.Setenv("PGHOST", "elsewhere.example")

	t.Setenv("PGPORT", "1")
	t.Setenv("PGDATABASE", "elsewhere")
	t.Setenv("PGUSER", "server-user")
	t.Setenv("PGPASSWORD", "")
	t.Setenv("PGPASSFILE", "/nowhere/pgpass")

	t.Setenv("PGAPPNAME", "")

	for _, tc := range []struct {
		name, text string
		user, pass string
		where      string
		tls        string // of each attempt: host, and verified, unverified or plain
		app        string
	}{
		{"another machine must have a valid certificate", "postgres://jeton@db.example:5432/jeton",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"the long scheme and the default port", "postgresql://jeton@db.example/jeton",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"several hosts", "postgres://jeton@db1.example,db2.example:5433,[2001:db8::1]:5434/jeton",
			"jeton", "", "db1.example:5432,db2.example:5433,[2001:db8::1]:5434/jeton",
			"db1.example:5432 verified, db2.example:5433 verified, 2001:db8::1:5434 verified", "jeton"},
		{"this machine needs no TLS", "postgres://jeton@localhost/jeton",
			"jeton", "", "localhost:5432/jeton", "localhost:5432 unverified, localhost:5432 plain", "jeton"},
		{"an address of this machine, too", "postgres://jeton@127.0.0.2,[::1]/jeton?sslmode=disable",
			"jeton", "", "127.0.0.2:5432,[::1]:5432/jeton", "127.0.0.2:5432 plain, ::1:5432 plain", "jeton"},
		{"with one other machine, all must have a valid certificate",
			"postgres://jeton@localhost,db.example/jeton",
			"jeton", "", "localhost:5432,db.example:5432/jeton",
			"localhost:5432 verified, db.example:5432 verified", "jeton"},
		{"a socket has no TLS, and the default user", "postgres:///jeton?host=/run/postgresql",
			"server-user", "", "/run/postgresql/jeton", "/run/postgresql:5432 plain", "jeton"},
		{"a socket as the host", "postgres://jeton@%2Frun%2Fpostgresql:5433/jeton",
			"jeton", "", "/run/postgresql/jeton", "/run/postgresql:5433 plain", "jeton"},
		{"sockets as parameters",
			"postgres:///jeton?user=jeton&host=/run/a,/run/b&port=1,2&application_name=node+1%20a",
			"jeton", "", "/run/a,/run/b/jeton", "/run/a:1 plain, /run/b:2 plain", "node+1 a"},
		{"one port for all hosts", "postgres://jeton@db1.example,db2.example/jeton?port=6432",
			"jeton", "", "db1.example:6432,db2.example:6432/jeton",
			"db1.example:6432 verified, db2.example:6432 verified", "jeton"},
		{"a password with special characters, encoded",
			"postgres://je%40ton:%2F%3F%23%40%25%3A%20+&=@db.example/je%2Fton",
			"je@ton", "/?#@%: +&=", "db.example:5432/je/ton", "db.example:5432 verified", "jeton"},
		{"an @ and a colon in the password, not encoded", "postgres://jeton:p@ss:word@db.example/jeton",
			"jeton", "p@ss:word", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"a password without a user", "postgres://:pass@db.example/jeton?user=jeton",
			"jeton", "pass", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"weak TLS that is allowed",
			"{allow_weak_tls: true, url: 'postgres://jeton@db.example/jeton?sslmode=require'}",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 unverified", "jeton"},
		{"allowing weak TLS does not select it", "{allow_weak_tls: true, url: 'postgres://jeton@db.example/jeton'}",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"the authorities of the system", "postgres://jeton@localhost/jeton?sslrootcert=system",
			"jeton", "", "localhost:5432/jeton", "localhost:5432 verified", "jeton"},
		{"a password from a variable", "postgres://jeton:${DB_PASSWORD}@db.example/jeton",
			"jeton", "hunter2", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := database(t, tc.text, "DB_PASSWORD", "hunter2")
			if d.Where() != tc.where {
				t.Errorf("Where() = %s, want %s", d.Where(), tc.where)
			}

			c, err := pgconn.ParseConfig(d.ConnString().Reveal())
			if err != nil {
				t.Fatal(err)
			}

			if c.User != tc.user || c.Password != tc.pass || c.RuntimeParams["application_name"] != tc.app ||
				c.Database != tc.where[strings.Index(tc.where, "/je")+1:] {
				t.Errorf(
					"pgx reads user %q, password %q, database %q, application %q, want those of the URL",
					c.User, c.Password, c.Database, c.RuntimeParams["application_name"],
				)
			}

			var attempts []string
			for _, f := range append([]*pgconn.FallbackConfig{{
				Host:      c.Host,
				Port:      c.Port,
				TLSConfig: c.TLSConfig,
			}}, c.Fallbacks...) {
				kind := "plain"
				if f.TLSConfig != nil {
					kind = "verified"
					if f.TLSConfig.InsecureSkipVerify {
						kind = "unverified"
					} else if f.TLSConfig.ServerName != f.Host {
						t.Errorf("TLS checks the name %s, want %s", f.TLSConfig.ServerName, f.Host)
					}
				}

				attempts = append(attempts, fmt.Sprintf("%s:%d %s", f.Host, f.Port, kind))
			}

			got := strings.Join(attempts, ", ")
			if got != tc.tls {
				t.Errorf("attempts of pgx = %s, want %s", got, tc.tls)
			}
		})
	}
}

// Hosted PostgreSQL shows URLs with channel_binding=require. The environment must not weaken it.
func TestChannelBindingOfTheURL(t *testing.T) {
	t.Setenv("PGCHANNELBINDING", "disable")
	for query, want := range map[string]string{
		"":                         "prefer",
		"?channel_binding=require": "require",
		"?channel_binding=disable": "disable",
	} {
		c, err := pgconn.ParseConfig(database(t, "postgres://jeton@db.example/jeton"+query).ConnString().Reveal())
		if err != nil {
			t.Fatal(err)
		}
		if c.ChannelBinding != want {
			t.Errorf("with %q pgx reads channel_binding %q, want %q", query, c.ChannelBinding, want)
		}
	}
}

func TestTLSFilesAreRelativeToTheConfiguration(t *testing.T) {
	got := database(
		t,
		"postgres://jeton@db.example/jeton?sslrootcert=ca.pem&sslcert=/abs/c.pem&sslkey=tls/c.key",
	).ConnString().Reveal()
	for _, want := range []string{
		"&sslmode=verify-full&",
		"&sslrootcert=etc%2Fca.pem",
		"&sslcert=%2Fabs%2Fc.pem",
		"&sslkey=etc%2Ftls%2Fc.key",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("ConnString() = %s, want %s in it", got, want)
		}
	}

	got = database(t, "postgres://jeton@localhost/jeton?sslrootcert=ca.pem").ConnString().Reveal()
	if !strings.Contains(got, "&sslmode=verify-full&") {
		t.Errorf("ConnString() = %s, want the named authority to be used on this machine, too", got)
	}
}

// databaseURLs returns invalid URLs, each with the password hunter2 or a part of it.
func databaseURLs() map[string]string {
	return map[string]string{
		"a slash in the password":                  "postgres://jeton:/hunter2@db.example/jeton",
		"a question mark in the password":          "postgres://jeton:hun?hunter2@db.example/jeton",
		"a parameter that is part of the password": "postgres://jeton:hun?hunter2=1@db.example/jeton",
		"a question mark after a digit":            "postgres://jeton:5?hunter2=x@db.example/jeton",
		"a slash after a digit":                    "postgres://jeton:5/hunter2@db.example",
		"a hash in the password":                   "postgres://jeton:1#hunter2@db.example/jeton",
		"a percent sign in the password":           "postgres://jeton:hunter2%@db.example/jeton",
		"a percent sign without hex digits":        "postgres://jeton:%zzhunter2@db.example/jeton",
		"a NUL in the password":                    "postgres://jeton:hunter2%00@db.example/jeton",
		"a space in the password":                  "postgres://jeton:hunter2 x@db.example/jeton",
		"no host after the password":               "postgres://jeton:hunter2",
		"no @ after the password":                  "postgres://jeton:hunter2/jeton",
		"no @ between password and host":           "postgres://jeton:hunter2,db.example/jeton",
		"no scheme":                                "jeton:hunter2@db.example/jeton",
		"a scheme of another database":             "mysql://jeton:hunter2@db.example/jeton",
		"a scheme in capitals":                     "POSTGRES://jeton:hunter2@db.example/jeton",
		"one slash":                                "postgres:/jeton:hunter2@db.example/jeton",
		"SQLite":                                   "sqlite://jeton:hunter2@db.example/jeton",
		"a port that is not a number":              "postgres://jeton:hunter2@db.example:http/jeton",
		"a port of 0":                              "postgres://jeton:hunter2@db.example:0/jeton",
		"a port too high":                          "postgres://jeton:hunter2@db.example:65536/jeton",
		"a colon without a port":                   "postgres://jeton:hunter2@db.example:/jeton",
		"an IPv6 address without brackets":         "postgres://jeton:hunter2@2001:db8::1/jeton",
		"brackets that are not closed":             "postgres://jeton:hunter2@[::1/jeton",
		"an IPv6 address with a port, no brackets": "postgres://jeton:hunter2@2001:db8::1:5432/jeton",
		"brackets around a name":                   "postgres://jeton:hunter2@[db.example]/jeton",
		"text after brackets":                      "postgres://jeton:hunter2@[::1]1/jeton",
		"no host between commas":                   "postgres://jeton:hunter2@db1.example,,db2.example/jeton",
		"a comma in a name":                        "postgres://jeton:hunter2@%2Frun%2Fa%2Cb/jeton",
		"no host":                                  "postgres://jeton:hunter2@/jeton",
		"a port alone":                             "postgres://jeton:hunter2@:5432/jeton",
		"no name of a database":                    "postgres://jeton:hunter2@db.example/",
		"a slash in the name":                      "postgres://jeton:hunter2@db.example/a/b",
		"a name that cannot be decoded":            "postgres://jeton:hunter2@db.example/%zz",
		"a user that cannot be decoded":            "postgres://%zz:hunter2@db.example/jeton",
		"a password parameter":                     "postgres://jeton@db.example/jeton?password=hunter2",
		"a parameter that is a password":           "postgres://jeton@db.example/jeton?hunter2",
		"a port of a socket that is 0":             "postgres://jeton:hunter2@/jeton?host=/run/postgresql&port=0",
		"weak TLS":                                 "postgres://jeton:hunter2@db.example/jeton?sslmode=require",
		"weak TLS to a private address":            "postgres://jeton:hunter2@10.0.0.5/jeton?sslmode=prefer",
		"localhost.example":                        "postgres://jeton:hunter2@localhost.example/jeton?sslmode=disable",
		"a key without a certificate":              "postgres://jeton:hunter2@localhost/jeton?sslkey=a",
	}
}

// TestNoFaultShowsThePassword damages the URL in many ways. Errors of net/url repeat the
// URL, and with it the password.
func TestNoFaultShowsThePassword(t *testing.T) {
	for name, url := range databaseURLs() {
		t.Run(name, func(t *testing.T) {
			for _, from := range []string{"the file", "the environment"} {
				text, env := "database: \""+url+"\"\n", environment()
				if from == "the environment" {
					text, env = "{}", environment("JETON_DATABASE", url)
				}

				_, err := config.Parse("jeton.yaml", []byte(text), env)
				if err == nil {
					t.Fatalf("%s: got no fault, want one", from)
				}
				if strings.Contains(err.Error(), "hunter") {
					t.Errorf("%s: the fault shows the password: %v", from, err)
				}
			}
		})
	}
}

// TestConfigurationDoesNotShowThePassword prints the configuration with the verbs of fmt
// and as JSON.
func TestConfigurationDoesNotShowThePassword(t *testing.T) {
	for _, text := range []string{
		"database: 'postgres://jeton:hunter2@db.example/jeton'",
		"database: {url: 'postgres://jeton@db.example/jeton', password_file: '${SECRETS}/db-password'}",
	} {
		c, err := config.Parse("", []byte(text), environment("SECRETS", secrets(t)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(c.Database.ConnString().Reveal(), "jeton:hunter2@") {
			t.Fatalf("%s: ConnString() has no password", text)
		}

		out, err := json.Marshal(c.Database)
		if err != nil {
			t.Fatal(err)
		}

		shown := fmt.Sprintf("%v %+v %#v %s %s %s %s", *c.Database, *c.Database, *c.Database, out,
			c.Database.Where(), c.Database.Weaknesses(), c.Database.ConnString())
		if strings.Contains(shown, "hunter2") {
			t.Errorf("the password is shown: %s", shown)
		}
	}
}

func TestDatabaseURLOfTheEnvironment(t *testing.T) {
	const set = "postgres://jeton:hunter2@env.example/jeton"
	for _, tc := range []struct{ name, file, value, want string }{
		{"it overrides the short form", "database: postgres://file.example/jeton", set, "env.example:5432/jeton 12"},
		{
			"it overrides the url of the long form only",
			"database: {url: 'postgres://file.example/jeton', connections: 4}",
			set,
			"env.example:5432/jeton 4",
		},
		{"the long form then needs no url", "database: {connections: 4}", set, "env.example:5432/jeton 4"},
		{"it adds the database to a file without one", "{}", set, "env.example:5432/jeton 12"},
		{"an empty variable is not set", "database: postgres://file.example/jeton", "", "file.example:5432/jeton 12"},
		{"variables in it are not expanded", "{}", "postgres://env.example/${NAME}", "env.example:5432/${NAME} 12"},
		{"its faults name it", "database: postgres://file.example/jeton", "postgres://jeton:hunter2@env.example/",
			"environment JETON_DATABASE: database.url: no name of a database; " +
				"write it after the host, as in postgres://HOST/NAME"},
		{"a password in it conflicts with a password file",
			"database: {url: 'postgres://file.example/jeton', password_file: x}", set,
			"environment JETON_DATABASE: database.url: contains a password, and password_file is set; keep one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := config.Parse("", []byte(tc.file), environment("JETON_DATABASE", tc.value))
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprint(c.Database.Where(), " ", c.Database.Connections)
			}

			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestSecretFiles(t *testing.T) {
	for _, tc := range []struct {
		name string
		mode os.FileMode
		text string
		// The faults as a password and as the secret of signing keys; "" is none.
		password, keys string
	}{
		{"only the owner can read it", 0o600, "hunter2\n", "", ""},
		{"only the owner can read it, and not write", 0o400, "hunter2", "", ""},
		{"the own group can read it", 0o640, "hunter2\r\n", "", ""},
		{
			"a group can write it",
			0o660,
			"hunter2",
			"can be read by other users (mode 0660): run chmod 600 ",
			"can be read by other users (mode 0660): run chmod 600 ",
		},
		{
			"every user can read it",
			0o644,
			"hunter2",
			"can be read by other users (mode 0644): run chmod 600 ",
			"can be read by other users (mode 0644): run chmod 600 ",
		},
		{
			"others can read it",
			0o604,
			"hunter2",
			"can be read by other users (mode 0604): run chmod 600 ",
			"can be read by other users (mode 0604): run chmod 600 ",
		},
		{"it is empty", 0o600, "\n", "is empty: want the password on one line", ""},
		{"it has two lines", 0o600, "hunter2\nx\n", "has more than one line: want only the password", ""},
		{"it has a NUL", 0o600, "hunter2\x00", "has more than one line: want only the password", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			folder := t.TempDir()
			file := filepath.Join(folder, "secret")
			if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}

			if err := os.Chmod(file, tc.mode); err != nil {
				t.Fatal(err)
			}

			name := filepath.Join(folder, "jeton.yaml") // relative paths start here
			c, err := config.Parse(
				name, []byte("database: {url: 'postgres://jeton@db.example/jeton', password_file: secret}"),
				environment(),
			)

			prefix := name + ":1:69: database.password_file: " + file + " "
			if !sameFault(err, prefix, tc.password) {
				t.Errorf("as a password: got %v, want %q", err, tc.password)
			}
			if err == nil && !strings.Contains(c.Database.ConnString().Reveal(), "://jeton:hunter2@") {
				t.Error("as a password: it is not in the URL")
			}

			c, err = config.Parse(name, []byte("keys_secret_file: secret"), environment())
			prefix = name + ":1:19: keys_secret_file: " + file + " "
			if !sameFault(err, prefix, tc.keys) {
				t.Errorf("as the secret of signing keys: got %v, want %q", err, tc.keys)
			}
			if err == nil && c.KeysSecretFile != file {
				t.Errorf("KeysSecretFile = %s, want %s", c.KeysSecretFile, file)
			}
		})
	}
}

// sameFault reports whether err is the fault with a prefix and a text, or nil for no text.
func sameFault(err error, prefix, text string) bool {
	if text == "" {
		return err == nil
	}
	// The text about a mode ends with the file, to be copied into a shell.
	if strings.HasSuffix(text, "chmod 600 ") {
		text += strings.TrimSuffix(prefix[strings.LastIndex(prefix, ": ")+2:], " ")
	}

	return err != nil && err.Error() == prefix+text
}

func TestWeaknessesOfADatabase(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		want        []string
	}{
		{"the default", "", nil},
		{"verify-full", "?sslmode=verify-full", nil},
		{
			"verify-ca",
			"?sslmode=verify-ca",
			[]string{"allow_weak_tls: sslmode=verify-ca does not check the host name of the server"},
		},
		{
			"require",
			"?sslmode=require",
			[]string{"allow_weak_tls: sslmode=require does not check the server's certificate"},
		},
		{
			"prefer",
			"?sslmode=prefer",
			[]string{"allow_weak_tls: sslmode=prefer sends everything in clear text if the server asks for it"},
		},
		{
			"allow",
			"?sslmode=allow",
			[]string{"allow_weak_tls: sslmode=allow sends everything in clear text if the server asks for it"},
		},
		{"disable", "?sslmode=disable", []string{"allow_weak_tls: sslmode=disable sends everything in clear text"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := database(t, "{allow_weak_tls: true, url: 'postgres://jeton@db.example/jeton"+tc.query+"'}")
			got := d.Weaknesses()
			if !slices.Equal(got, tc.want) {
				t.Errorf("Weaknesses() = %q, want %q", got, tc.want)
			}

			local := database(t, "{allow_weak_tls: true, url: 'postgres://jeton@localhost/jeton"+tc.query+"'}")
			got = local.Weaknesses()
			if got != nil {
				t.Errorf("Weaknesses() = %q on this machine, want none", got)
			}
		})
	}
}

func TestTheSameDatabase(t *testing.T) {
	const url = "postgres://jeton:hunter2@db.example/jeton"
	one := database(t, url)
	var none *config.Database
	for _, tc := range []struct {
		name  string
		other *config.Database
		want  bool
	}{
		{"itself, read again", database(t, "{url: '"+url+"', connections: 12}"), true},
		{
			"another spelling of the URL",
			database(t, "postgresql://jeton:hunter2@db.example:5432/jeton?sslmode=verify-full"),
			true,
		},
		{"SQLite", none, false},
		{"another password", database(t, "postgres://jeton:hunter3@db.example/jeton"), false},
		{"another host", database(t, "postgres://jeton:hunter2@db2.example/jeton"), false},
		{"more connections", database(t, "{url: '"+url+"', connections: 13}"), false},
		{"another connect timeout", database(t, "{url: '"+url+"', connect_timeout: 3s}"), false},
		{"another statement timeout", database(t, "{url: '"+url+"', statement_timeout: 900ms}"), false},
		{"another staleness", database(t, "{url: '"+url+"', staleness: 0s}"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if one.Same(tc.other) != tc.want || tc.other.Same(one) != tc.want {
				t.Errorf("Same = %v and %v, want %v", one.Same(tc.other), tc.other.Same(one), tc.want)
			}
		})
	}

	if !none.Same(none) {
		t.Error("Same = false for SQLite and SQLite, want true")
	}
}
