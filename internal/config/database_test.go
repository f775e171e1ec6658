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

// secrets returns a folder with the files that full.yaml names: git keeps no mode.
func secrets(tb testing.TB) string {
	tb.Helper()
	folder := tb.TempDir()
	for name, text := range map[string]string{"db-password": "hunter2\n", "keys.secret": "not read here\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}

	return folder
}

// database reads a configuration that holds a database alone.
func database(t *testing.T, text string, env ...string) *config.Database {
	t.Helper()
	c, err := config.Parse("etc/jeton.yaml", []byte("database: "+text+"\n"), environment(env...))
	if err != nil {
		t.Fatal(err)
	}

	return c.Database
}

func TestNoDatabaseIsSQLite(t *testing.T) {
	c, err := config.Parse("", []byte("{}"), environment())
	if err != nil || c.Database != nil || c.KeysSecretFile != "" {
		t.Errorf("Parse: %+v, %v, want no database", c, err)
	}
}

func TestDatabaseDefaults(t *testing.T) {
	for _, text := range []string{"postgres://db.example/jeton", "{url: 'postgres://db.example/jeton'}"} {
		d := database(t, text)
		if d.Connections != 12 || d.ConnectTimeout.Std() != 2*time.Second || d.StatementTimeout.Std() != time.Second ||
			d.Staleness.Std() != 250*time.Millisecond || d.AllowWeakTLS {
			t.Errorf("%s: %+v, want the documented defaults", text, d)
		}
	}

	if d := database(t, "{url: 'postgres://db.example/jeton', staleness: 0s}"); d.Staleness != 0 {
		t.Errorf("staleness of 0s is %v", d.Staleness)
	}
}

// TestConnString shows what pgx, which connects, makes of what the operator wrote.
func TestConnString(t *testing.T) {
	// What the environment says about TLS must not make it weaker.
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGSSLROOTCERT", "/nowhere/root.crt")
	t.Setenv("PGSSLCERT", "/nowhere/a.crt")
	t.Setenv("PGSSLKEY", "/nowhere/a.key")
	t.Setenv("PGHOST", "elsewhere.example")

	t.Setenv("PGPORT", "1")
	t.Setenv("PGDATABASE", "elsewhere")
	t.Setenv("PGUSER", "who-runs-it")
	t.Setenv("PGPASSWORD", "")
	t.Setenv("PGPASSFILE", "/nowhere/pgpass")

	t.Setenv("PGAPPNAME", "")

	for _, tc := range []struct {
		name, text string
		user, pass string
		where      string
		tls        string // of each try: host and whether TLS is verified, unverified or plain text
		app        string
	}{
		{"another machine has to prove itself", "postgres://jeton@db.example:5432/jeton",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"the long scheme, and no port", "postgresql://jeton@db.example/jeton",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"several hosts", "postgres://jeton@db1.example,db2.example:5433,[2001:db8::1]:5434/jeton",
			"jeton", "", "db1.example:5432,db2.example:5433,[2001:db8::1]:5434/jeton",
			"db1.example:5432 verified, db2.example:5433 verified, 2001:db8::1:5434 verified", "jeton"},
		{"this machine may do without TLS", "postgres://jeton@localhost/jeton",
			"jeton", "", "localhost:5432/jeton", "localhost:5432 unverified, localhost:5432 plain", "jeton"},
		{"so may its address", "postgres://jeton@127.0.0.2,[::1]/jeton?sslmode=disable",
			"jeton", "", "127.0.0.2:5432,[::1]:5432/jeton", "127.0.0.2:5432 plain, ::1:5432 plain", "jeton"},
		{"one machine among them has to prove itself, and all do", "postgres://jeton@localhost,db.example/jeton",
			"jeton", "", "localhost:5432,db.example:5432/jeton", "localhost:5432 verified, db.example:5432 verified", "jeton"},
		{"a socket has no TLS, and no user is who runs the server", "postgres:///jeton?host=/run/postgresql",
			"who-runs-it", "", "/run/postgresql/jeton", "/run/postgresql:5432 plain", "jeton"},
		{"a socket in the place of the host", "postgres://jeton@%2Frun%2Fpostgresql:5433/jeton",
			"jeton", "", "/run/postgresql/jeton", "/run/postgresql:5433 plain", "jeton"},
		{"sockets by parameters", "postgres:///jeton?user=jeton&host=/run/a,/run/b&port=1,2&application_name=node+1%20a",
			"jeton", "", "/run/a,/run/b/jeton", "/run/a:1 plain, /run/b:2 plain", "node+1 a"},
		{"one port for all hosts", "postgres://jeton@db1.example,db2.example/jeton?port=6432",
			"jeton", "", "db1.example:6432,db2.example:6432/jeton", "db1.example:6432 verified, db2.example:6432 verified", "jeton"},
		{"a password with every mark, encoded", "postgres://je%40ton:%2F%3F%23%40%25%3A%20+&=@db.example/je%2Fton",
			"je@ton", "/?#@%: +&=", "db.example:5432/je/ton", "db.example:5432 verified", "jeton"},
		{"an @ and a colon in the password as they are", "postgres://jeton:p@ss:word@db.example/jeton",
			"jeton", "p@ss:word", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"a password without a user", "postgres://:pass@db.example/jeton?user=jeton",
			"jeton", "pass", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"weak TLS where it was allowed", "{allow_weak_tls: true, url: 'postgres://jeton@db.example/jeton?sslmode=require'}",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 unverified", "jeton"},
		{"allowing it does not ask for it", "{allow_weak_tls: true, url: 'postgres://jeton@db.example/jeton'}",
			"jeton", "", "db.example:5432/jeton", "db.example:5432 verified", "jeton"},
		{"the word of pgx for the authorities of the system", "postgres://jeton@localhost/jeton?sslrootcert=system",
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
					"pgx reads user %q, password %q, database %q, application %q",
					c.User,
					c.Password,
					c.Database,
					c.RuntimeParams["application_name"],
				)
			}

			tries := []string{}
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
						t.Errorf("the name that is checked is %s, want %s", f.TLSConfig.ServerName, f.Host)
					}
				}

				tries = append(tries, fmt.Sprintf("%s:%d %s", f.Host, f.Port, kind))
			}

			got := strings.Join(tries, ", ")
			if got != tc.tls {
				t.Errorf("pgx tries %s, want %s", got, tc.tls)
			}
		})
	}
}

func TestFilesOfTLSStartAtTheConfiguration(t *testing.T) {
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
		t.Errorf("ConnString() = %s, want an authority that is named to be asked, on this machine too", got)
	}
}

// databaseURLs are URLs that cannot be read, each with the password hunter2 or a piece of
// it somewhere.
func databaseURLs() map[string]string {
	return map[string]string{
		"a slash in the password":              "postgres://jeton:/hunter2@db.example/jeton",
		"a question mark in it":                "postgres://jeton:hun?hunter2@db.example/jeton",
		"a parameter made of it":               "postgres://jeton:hun?hunter2=1@db.example/jeton",
		"a question mark behind a digit":       "postgres://jeton:5?hunter2=x@db.example/jeton",
		"a slash behind a digit":               "postgres://jeton:5/hunter2@db.example",
		"a hash in it":                         "postgres://jeton:1#hunter2@db.example/jeton",
		"a percent sign in it":                 "postgres://jeton:hunter2%@db.example/jeton",
		"a percent sign before no hex":         "postgres://jeton:%zzhunter2@db.example/jeton",
		"a NUL in it":                          "postgres://jeton:hunter2%00@db.example/jeton",
		"a space in it":                        "postgres://jeton:hunter2 x@db.example/jeton",
		"no host behind it":                    "postgres://jeton:hunter2",
		"no @ behind it":                       "postgres://jeton:hunter2/jeton",
		"no @ behind it, with a host":          "postgres://jeton:hunter2,db.example/jeton",
		"no scheme":                            "jeton:hunter2@db.example/jeton",
		"a scheme of another database":         "mysql://jeton:hunter2@db.example/jeton",
		"a scheme in capitals":                 "POSTGRES://jeton:hunter2@db.example/jeton",
		"one slash":                            "postgres:/jeton:hunter2@db.example/jeton",
		"SQLite":                               "sqlite://jeton:hunter2@db.example/jeton",
		"a port that is no number":             "postgres://jeton:hunter2@db.example:http/jeton",
		"a port of 0":                          "postgres://jeton:hunter2@db.example:0/jeton",
		"a port too high":                      "postgres://jeton:hunter2@db.example:65536/jeton",
		"a colon without a port":               "postgres://jeton:hunter2@db.example:/jeton",
		"an IPv6 address without brackets":     "postgres://jeton:hunter2@2001:db8::1/jeton",
		"brackets that are not closed":         "postgres://jeton:hunter2@[::1/jeton",
		"such an address with a port":          "postgres://jeton:hunter2@2001:db8::1:5432/jeton",
		"brackets around a name":               "postgres://jeton:hunter2@[db.example]/jeton",
		"text behind brackets":                 "postgres://jeton:hunter2@[::1]1/jeton",
		"no host between commas":               "postgres://jeton:hunter2@db1.example,,db2.example/jeton",
		"a comma in a name":                    "postgres://jeton:hunter2@%2Frun%2Fa%2Cb/jeton",
		"no host":                              "postgres://jeton:hunter2@/jeton",
		"a port alone":                         "postgres://jeton:hunter2@:5432/jeton",
		"no name of a database":                "postgres://jeton:hunter2@db.example/",
		"a slash in the name":                  "postgres://jeton:hunter2@db.example/a/b",
		"a name that cannot be decoded":        "postgres://jeton:hunter2@db.example/%zz",
		"a user that cannot be decoded":        "postgres://%zz:hunter2@db.example/jeton",
		"a password parameter":                 "postgres://jeton@db.example/jeton?password=hunter2",
		"a parameter that is a password":       "postgres://jeton@db.example/jeton?hunter2",
		"a parameter of sockets that is 0":     "postgres://jeton:hunter2@/jeton?host=/run/postgresql&port=0",
		"weak TLS":                             "postgres://jeton:hunter2@db.example/jeton?sslmode=require",
		"weak TLS to an address of a subnet":   "postgres://jeton:hunter2@10.0.0.5/jeton?sslmode=prefer",
		"a name that begins like this machine": "postgres://jeton:hunter2@localhost.example/jeton?sslmode=disable",
		"a key without a certificate":          "postgres://jeton:hunter2@localhost/jeton?sslkey=a",
	}
}

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
					t.Fatalf("%s: no fault", from)
				}
				if strings.Contains(err.Error(), "hunter") {
					t.Errorf("%s: %v", from, err)
				}
			}
		})
	}
}

func TestAConfigurationShowsNoPassword(t *testing.T) {
	for _, text := range []string{
		"database: 'postgres://jeton:hunter2@db.example/jeton'",
		"database: {url: 'postgres://jeton@db.example/jeton', password_file: '${SECRETS}/db-password'}",
	} {
		c, err := config.Parse("", []byte(text), environment("SECRETS", secrets(t)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(c.Database.ConnString().Reveal(), "jeton:hunter2@") {
			t.Fatalf("%s: the password is nowhere", text)
		}

		out, err := json.Marshal(c.Database)
		if err != nil {
			t.Fatal(err)
		}

		shown := fmt.Sprintf("%v %+v %#v %s %s %s %s", *c.Database, *c.Database, *c.Database, out,
			c.Database.Where(), c.Database.Weaknesses(), c.Database.ConnString())
		if strings.Contains(shown, "hunter2") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestDatabaseOfTheEnvironment(t *testing.T) {
	const set = "postgres://jeton:hunter2@env.example/jeton"
	for _, tc := range []struct{ name, file, value, want string }{
		{"it wins over the short form", "database: postgres://file.example/jeton", set, "env.example:5432/jeton 12"},
		{
			"and over the long form, whose other keys stay",
			"database: {url: 'postgres://file.example/jeton', connections: 4}",
			set,
			"env.example:5432/jeton 4",
		},
		{"which then needs no url", "database: {connections: 4}", set, "env.example:5432/jeton 4"},
		{"a file without a database is enough", "{}", set, "env.example:5432/jeton 12"},
		{"an empty variable is none", "database: postgres://file.example/jeton", "", "file.example:5432/jeton 12"},
		{"variables in it are not replaced", "{}", "postgres://env.example/${NAME}", "env.example:5432/${NAME} 12"},
		{"a fault is blamed on it", "database: postgres://file.example/jeton", "postgres://jeton:hunter2@env.example/",
			"environment JETON_DATABASE: database.url: no name of a database; write it after the host, as in postgres://HOST/NAME"},
		{"so is a password next to a file of one", "database: {url: 'postgres://file.example/jeton', password_file: x}", set,
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
		{"the owner alone reads it", 0o600, "hunter2\n", "", ""},
		{"the owner alone, who may not write it", 0o400, "hunter2", "", ""},
		{"a group reads it", 0o640, "hunter2\r\n", "", "can be read by other users (mode 0640); run chmod 600"},
		{
			"a group writes it",
			0o660,
			"hunter2",
			"can be read by other users (mode 0660); run chmod 640",
			"can be read by other users (mode 0660); run chmod 600",
		},
		{
			"everybody reads it",
			0o644,
			"hunter2",
			"can be read by other users (mode 0644); run chmod 640",
			"can be read by other users (mode 0644); run chmod 600",
		},
		{
			"others read it",
			0o604,
			"hunter2",
			"can be read by other users (mode 0604); run chmod 640",
			"can be read by other users (mode 0604); run chmod 600",
		},
		{"nothing is in it", 0o600, "\n", "is empty: want the password on one line", ""},
		{"two lines", 0o600, "hunter2\nx\n", "has more than one line: want only the password", ""},
		{"a NUL", 0o600, "hunter2\x00", "has more than one line: want only the password", ""},
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
				name,
				[]byte("database: {url: 'postgres://jeton@db.example/jeton', password_file: secret}"),
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
		{"require", "?sslmode=require", []string{"allow_weak_tls: sslmode=require does not check the server's certificate"}},
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
			if got := d.Weaknesses(); !slices.Equal(got, tc.want) {
				t.Errorf("Weaknesses() = %q, want %q", got, tc.want)
			}

			near := database(t, "{allow_weak_tls: true, url: 'postgres://jeton@localhost/jeton"+tc.query+"'}")
			if got := near.Weaknesses(); got != nil {
				t.Errorf("on this machine Weaknesses() = %q, want none", got)
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
			"the same in other words",
			database(t, "postgresql://jeton:hunter2@db.example:5432/jeton?sslmode=verify-full"),
			true,
		},
		{"none", none, false},
		{"another password", database(t, "postgres://jeton:hunter3@db.example/jeton"), false},
		{"another host", database(t, "postgres://jeton:hunter2@db2.example/jeton"), false},
		{"more connections", database(t, "{url: '"+url+"', connections: 13}"), false},
		{"another time to connect", database(t, "{url: '"+url+"', connect_timeout: 3s}"), false},
		{"another time for a statement", database(t, "{url: '"+url+"', statement_timeout: 900ms}"), false},
		{"another staleness", database(t, "{url: '"+url+"', staleness: 0s}"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if one.Same(tc.other) != tc.want || tc.other.Same(one) != tc.want {
				t.Errorf("Same is %v and %v, want %v", one.Same(tc.other), tc.other.Same(one), tc.want)
			}
		})
	}

	if !none.Same(none) {
		t.Error("SQLite is not the same as SQLite")
	}
}
