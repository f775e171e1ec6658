package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/config/yamlread"

	"go.yaml.in/yaml/v4"
)

const folder = "testdata"

func TestDefault(t *testing.T) {
	c, err := config.Default(environment())
	if err != nil {
		t.Fatal(err)
	}

	s := c.Services[0]
	whoami := s.Routes[0]

	var body map[string]string
	if err := whoami.Respond.JSON.Decode(&body); err != nil {
		t.Fatal(err)
	}

	wantBody := map[string]string{"name": "{{.Name}}", "service": "jeton"}
	if !reflect.DeepEqual(body, wantBody) {
		t.Errorf("response of GET /whoami = %v, want %v", body, wantBody)
	}
	if len(s.Routes) != 1 || whoami.Open || whoami.Respond.Kind() != "json" {
		t.Errorf("routes = %+v, want one with JSON that needs a credential", s.Routes)
	}

	s.Routes = nil
	c.Services = []config.Service{s}

	want := defaults()
	if !reflect.DeepEqual(c, want) {
		t.Errorf("Default() = %+v, want %+v", c, want)
	}
}

// defaults returns the configuration of default.yaml, with all defaults.
func defaults() *config.Config {
	return &config.Config{
		Log:            config.Log{Level: "info", Format: "json", Requests: "off"},
		Admin:          config.Admin{Listen: "127.0.0.1:9180"},
		Hashing:        config.Hashing{Workers: 0, Queue: 128},
		Passwords:      config.Passwords{MinLength: 15},
		PersonalTokens: config.Personal{MaxPerUser: 100},

		HSTSMaxAge: config.Duration(365 * 24 * time.Hour),

		Throttle: config.Throttle{
			PairBurst:    10,
			PairEvery:    config.Duration(90 * time.Second),
			AccountBurst: 100,
			AccountEvery: config.Duration(60 * time.Second),
			SourceBurst:  60,
			SourceEvery:  config.Duration(15 * time.Second),
		},
		Audit: config.Audit{Keep: config.Duration(90 * 24 * time.Hour), MaxSize: 1 << 30},
		Cache: config.Cache{Sessions: 200_000},
		Limits: config.Limits{
			MaxConnections: 10000,
			MaxPerSource:   1000,
			MinRate:        500,
			Behind:         config.Duration(30 * time.Second),
		},
		Shutdown: config.Shutdown{Timeout: config.Duration(10 * time.Second)},
		Issuer: &config.Issuer{
			URL:    "https://localhost:8443",
			Listen: "127.0.0.1:8443",
			TLS:    config.TLS{Cert: "pubkey.pem", Key: "private.pem"},
			Keys: config.IssuerKeys{
				Algorithm:   "EdDSA",
				RotateEvery: config.Duration(30 * 24 * time.Hour),
				PublishFor:  config.Duration(10 * time.Minute),
			},
			Pages: true,
			Admins: config.Admins{
				Factors: 2,
				Grace:   config.Duration(7 * 24 * time.Hour),
			},
			Session: config.SignInSession{
				IdleTimeout: config.Duration(time.Hour),
				Lifetime:    config.Duration(12 * time.Hour),
				WhenFull:    "evict_oldest",
			},
			Brand: config.Brand{Name: "Jeton", Accent: "#0f5c55", AccentDark: "#65c9c0"},
		},
		Services: []config.Service{{
			Name:   "jeton",
			Listen: "127.0.0.1:8443",
			TLS:    config.TLS{Cert: "pubkey.pem", Key: "private.pem"},
			Login: config.Login{
				Paths:         []string{"/login"},
				SignIn:        true,
				UsernameField: "username",
				PasswordField: "password",
				Success:       "Logged in",
			},
			Logout:  "/logout",
			CountBy: "user",
			Session: config.Session{
				Cookie:       "__Host-jeton-jeton",
				IdleTimeout:  config.Duration(time.Hour),
				Lifetime:     config.Duration(24 * time.Hour),
				WhenFull:     "evict_oldest",
				FormerCookie: "__Host-jeton",
			},
			Tokens: &config.Tokens{
				Format:    "jwt",
				Audience:  "jeton",
				Algorithm: "EdDSA",
				Lifetime:  config.Duration(10 * time.Minute),
			},
			Paths: config.Paths{
				Case:         "sensitive",
				Slash:        "distinct",
				EncodedSlash: "reject",
				Matrix:       "reject",
			},
		}},
	}
}

// TestLoadReadsEveryKey keeps full.yaml and plain.yaml complete: a key that no test reads
// may be ignored by the decoder.
func TestLoadReadsEveryKey(t *testing.T) {
	seen := make(map[string]bool)
	for _, file := range []string{"full.yaml", "plain.yaml", "console.yaml"} { // some keys exclude each other
		visit(reflect.ValueOf(load(t, filepath.Join(folder, file))).Elem(), "", seen)
	}

	for path, set := range seen {
		if !set {
			t.Errorf("%s is not set: add it to full.yaml, or to the decoder", path)
		}
	}

	if len(seen) < 60 {
		t.Errorf("visited %d keys, want all of them", len(seen))
	}
}

// visit records for each key below v whether any value of it is set.
func visit(v reflect.Value, path string, seen map[string]bool) {
	switch {
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		if !v.IsNil() {
			visit(v.Elem(), path, seen)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			visit(v.Index(i), path, seen)
		}
	case v.Kind() == reflect.Struct && strings.Contains(v.Type().PkgPath(), "jeton") &&
		v.Type().Name() != "Prefix" && v.Type().Name() != "Secret":
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if name != "" && name != "-" {
				visit(v.Field(i), path+"."+name, seen)
			}
		}
	default:
		seen[path] = seen[path] || !v.IsZero()
	}
}

func TestLoad(t *testing.T) {
	c := load(t, filepath.Join(folder, "full.yaml"))
	shop := c.Services[0]
	plain := c.Services[1]
	lesson := c.Services[2]
	var proxies []string
	for _, p := range c.TrustedProxies {
		proxies = append(proxies, p.String())
	}

	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"the path is kept", c.Path, filepath.Join(folder, "full.yaml")},
		{"a relative data directory starts at the file", c.DataDir, filepath.Join(folder, "data")},
		{"a duration has days", c.Audit.Keep.Std(), 36 * time.Hour},
		{"proxies are ranges", proxies, []string{"10.0.0.0/8", "fd00::1/128", "192.0.2.7/32"}},
		{
			"a hash is read from its file, without the newline",
			c.Users[0].Secret().Reveal(),
			"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
		},
		{"a count of uses is kept", *shop.Session.MaxUses, int64(100)},
		{"an absent count of uses is unlimited", plain.Session.MaxUses, (*int64)(nil)},
		{"an empty text is a response", shop.Routes[2].Respond.Kind(), "text"},
		{"a template is a response", shop.Routes[3].Respond.Kind(), "template"},
		{"a cookie with TLS has the prefix", plain.Session.Cookie, "__Host-jeton-" + plain.Name},
		{"a cookie without TLS has none", lesson.Session.Cookie, "jeton-" + lesson.Name},
		{"a service without TLS has no certificate", lesson.TLS, config.TLS{}},
		{"a response has status 200", shop.Routes[1].Respond.Status, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !reflect.DeepEqual(tc.got, tc.want) {
				t.Errorf("got %v, want %v", tc.got, tc.want)
			}
		})
	}
}

// TestUsersThatRulesNameAreReserved reads a configuration that has every key, and each list of users with a name of its
// own.
func TestUsersThatRulesNameAreReserved(t *testing.T) {
	c := load(t, filepath.Join(folder, "full.yaml"))
	want := nameUsers(reflect.ValueOf(c).Elem(), nil)
	slices.Sort(want)

	got := c.ReservedUsers()
	if !slices.Equal(got, want) || len(want) < 4 {
		t.Errorf("ReservedUsers = %v, want the names of all lists of users: %v", got, want)
	}
}

// nameUsers gives each list of names of users below v a new name, which it adds to given.
func nameUsers(v reflect.Value, given []string) []string {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return nameUsers(v.Elem(), given)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			given = nameUsers(v.Index(i), given)
		}
	case v.Kind() == reflect.Struct && strings.Contains(v.Type().PkgPath(), "jeton"):
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("yaml")
			if key == "users" && v.Field(i).Type() == reflect.TypeFor[[]string]() {
				name := fmt.Sprintf("User%d", len(given))
				v.Field(i).Set(reflect.ValueOf([]string{name}))
				given = append(given, strings.ToLower(name))
			} else if key != "" {
				given = nameUsers(v.Field(i), given)
			}
		}
	}

	return given
}

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	c, err := config.Load(path, environment("SECRETS", secrets(t)))
	if err != nil {
		t.Fatal(err)
	}

	return c
}

func TestLoadNamesTheFileItCannotRead(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, 4<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, path string
		want       error
	}{
		{"a missing file", filepath.Join(folder, "absent.yaml"), fs.ErrNotExist},
		{"a folder", folder, nil},
		{"a file over 4 MiB", huge, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Load(tc.path, environment())
			if err == nil || !strings.Contains(err.Error(), tc.path) {
				t.Fatalf("Load: %v, want an error with %s", err, tc.path)
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("Load: %v, want %v", err, tc.want)
			}
		})
	}
}

// TestExpansion reads a JSON response, in which a value may have any type.
func TestExpansion(t *testing.T) {
	env := environment("PORT", "8443", "NAME", "ada", "EMPTY", "", "YES", "true",
		"MAP", "{a: b}", "LINES", "a\n  b: c", "NESTED", "${NAME}")

	for _, tc := range []struct {
		name, value string
		want        any
	}{
		{"a variable", "${NAME}", "ada"},
		{"within text", "a${NAME}b${PORT}c", "aadab8443c"},
		{"a value without quotes may become a number", "${PORT}", 8443},
		{"a default without quotes, too", "${NONE:-5}", 5},
		{"a value may become true", "${YES}", true},
		{"a value may become null", "${EMPTY}", nil},
		{"a value in quotes stays text", `"${PORT}"`, "8443"},
		{"the default of a variable that is not set", "${NONE:-here}", "here"},
		{"the default of a variable that is empty", "${EMPTY:-here}", "here"},
		{"the default of a variable that is set", "${NAME:-here}", "ada"},
		{"an empty default", `"${NONE:-}"`, ""},
		{"two dollars are one", "$${NAME}", "${NAME}"},
		{"a dollar without a brace stays", "$5 $NAME $$", "$5 $NAME $$"},
		{"three dollars", "$$${NAME}", "$${NAME}"},
		{"a value is not expanded again", "${NESTED}", "${NAME}"},
		{"a value does not become a mapping", "${MAP}", "{a: b}"},
		{"a date stays as written", "2020-01-01", "2020-01-01"},
		{"a date from a variable, too", "${NONE:-2020-01-01}", "2020-01-01"},
		{"a value does not become a merge key", "${NONE:-<<}", "<<"},
		{"a value does not add lines", "${LINES}", "a\n  b: c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "services:\n  - name: a\n    listen: ':1'\n    routes:\n" +
				"      - match: /\n        open: true\n        respond:\n" +
				"          json:\n            value: " + tc.value + "\n"

			c, err := config.Parse("jeton.yaml", []byte(text), env)
			if err != nil {
				t.Fatal(err)
			}

			var got map[string]any
			if err := c.Services[0].Routes[0].Respond.JSON.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if got["value"] != tc.want {
				t.Errorf("%s = %#v, want %#v", tc.value, got["value"], tc.want)
			}
		})
	}
}

func TestTheTypeOfAnExpandedValue(t *testing.T) {
	text := "data_dir: ${DIR}\nhashing: {queue: '${N:-1}', workers: 0}\ncache:\n  sessions: ${N:-5}\n"
	_, err := config.Parse("jeton.yaml", []byte(text), environment("DIR", "/5"))
	if err == nil || !strings.Contains(err.Error(), "hashing.queue") || strings.Contains(err.Error(), "sessions") {
		t.Errorf("Parse = %v, want a fault only for the number in quotes", err)
	}

	c, err := config.Parse("", []byte("data_dir: ${DIR}\n"), environment("DIR", "5"))
	if err != nil || c.DataDir != "5" {
		t.Errorf("Parse = %+v, %v, want the text 5 for a key that is text", c, err)
	}
}

func TestDurations(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       time.Duration
	}{
		{"seconds", "30s", 30 * time.Second},
		{"hours and minutes", "1h30m", 90 * time.Minute},
		{"a fraction", "1.5h", 90 * time.Minute},
		{"days", "7d", 7 * 24 * time.Hour},
		{"days and hours", "1d12h", 36 * time.Hour},
		{"zero with a unit", "0s", 0},
		{"microseconds", "5µs", 5 * time.Microsecond},
		{"the longest", "106751d", 106751 * 24 * time.Hour},
		{"a plain number", "30", -1},
		{"a plain number in quotes", `"30"`, -1},
		{"zero without a unit", "0", -1},
		{"below zero", "-1s", -1},
		{"days after hours", "1h1d", -1},
		{"half a day", "0.5d", -1},
		{"weeks", "1w", -1},
		{"a space", "1d 1h", -1},
		{"too many days", "106752d", -1},
		{"too many days and hours", "106751d24h", -1},
		{"too many hours", "99999999999h", -1},
		{"more days than can be counted", "99999999999999999999d", -1},
		{"a word", "soon", -1},
		{"a sign", "+1s", -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := config.Parse("", []byte("shutdown: {delay: "+tc.text+"}"), environment())
			switch {
			case tc.want < 0 && err == nil:
				t.Errorf("%s = %v, want a fault", tc.text, c.Shutdown.Delay)
			case tc.want >= 0 && (err != nil || c.Shutdown.Delay.Std() != tc.want):
				t.Errorf("%s = %+v, %v, want %v", tc.text, c, err, tc.want)
			}
		})
	}
}

func TestNearestKey(t *testing.T) {
	for _, tc := range []struct{ name, key, want string }{
		{"a letter too few", "servces", "services"},
		{"a letter too many", "adminn", "admin"},
		{"a wrong letter", "lag", "log"},
		{"two letters swapped", "lgo", "log"},
		{"capitals", "Users", "users"},
		{"a dash", "trusted-proxies", "trusted_proxies"},
		{"two errors in a long word", "trustd_proxys", "trusted_proxies"},
		{"another word", "banana", ""},
		{"too short for a suggestion", "x", ""},
		{"very long", strings.Repeat("services", 10_000), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("", []byte("? "+tc.key+"\n: 1\n"), environment())
			want := "unknown key; did you mean " + tc.want + "?"
			if tc.want == "" {
				want = "unknown key; want one of data_dir, database, "
			}

			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("key %.20s: got %v, want %q", tc.key, err, want)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	const file = "log: {level: debug}\nadmin: {listen: '127.0.0.1:1'}\n"
	for _, tc := range []struct {
		name, file string
		env        []string
		want       string // level format listen
	}{
		{"no variable", file, nil, "debug json 127.0.0.1:1"},
		{
			"the environment wins",
			file,
			[]string{"JETON_LOG_LEVEL", "warn", "JETON_LOG_FORMAT", "text", "JETON_ADMIN_LISTEN", "off"},
			"warn text off",
		},
		{
			"the environment sets a key that the file does not have",
			"{}",
			[]string{"JETON_LOG_LEVEL", "warn", "JETON_LOG_FORMAT", "text", "JETON_ADMIN_LISTEN", "off"},
			"warn text off",
		},
		{"an empty variable counts as not set", file, []string{"JETON_LOG_LEVEL", ""}, "debug json 127.0.0.1:1"},
		{"variables are not expanded", "{}", []string{"JETON_LOG_LEVEL", "${A}", "A", "warn"},
			`environment JETON_LOG_LEVEL: log.level: invalid value "${A}": want one of debug, info, warn, error`},
		{"the fault of an invalid value names the variable", file, []string{"JETON_LOG_LEVEL", "wran"},
			`environment JETON_LOG_LEVEL: log.level: invalid value "wran": ` +
				`want one of debug, info, warn, error; did you mean warn?`},
		{"the fault of an invalid address, too", "{}", []string{"JETON_ADMIN_LISTEN", ":1"},
			`environment JETON_ADMIN_LISTEN: admin.listen: invalid address ":1": ` +
				`want a loopback address such as 127.0.0.1:9180, off, ` +
				`or admin.allow with the networks that may use it`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := config.Parse("", []byte(tc.file), environment(tc.env...))
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = c.Log.Level + " " + c.Log.Format + " " + c.Admin.Listen
			}

			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestUnknownEnv(t *testing.T) {
	got := config.UnknownEnv([]string{
		"PATH=/bin", "JETONLOG=x",
		"JETON_DATABASE=postgres:", "JETON_LOG_LEVEL=info", "JETON_LOG_FORMAT=text", "JETON_ADMIN_LISTEN=off",
		"JETON_CONFIG=c", "JETON_DATA_DIR=/d", "JETON_IDENTITY=i", "JETON_HOME=h", "JETON_WALLET_X=1",
		"JETON_PORT=tcp://1", "JETON_PORT_8443_TCP=x", "JETON_SERVICE_HOST=h",
		"JETON_LOGLEVEL=debug", "JETON_ADMIN=off", "JETON_ADMIN=on", "JETON_VECTORS=v",
	})

	want := []string{"JETON_ADMIN", "JETON_LOGLEVEL", "JETON_VECTORS"}
	if !slices.Equal(got, want) {
		t.Errorf("UnknownEnv = %v, want %v", got, want)
	}
}

func TestFilesThatAreNotADocument(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a byte that is not UTF-8", "a: b\nlog: \xff\n", "f:2:6: not UTF-8; save the file as UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "f:1:1: not UTF-8; save the file as UTF-8"},
		{"an empty file", "", "f:1:1: the file is empty; write {} for a file with every default"},
		{"null", "null", "f:1:1: the file is empty; write {} for a file with every default"},
		{"a byte order mark", "\ufefflog: {level: warn}\n", ""},
		{"Windows lines", "log:\r\n  level: warn\r\n", ""},
		{"an end of document", "log: {level: warn}\n...\n", ""},
		{"an empty mapping", "{}", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("f", []byte(tc.text), environment())
			got := ""
			if err != nil {
				got = err.Error()
				if got != tc.want {
					t.Errorf("Parse: %s, want %s", got, tc.want)
				}
			} else if tc.want != "" {
				t.Errorf("Parse: nil, want %s", tc.want)
			}
		})
	}
}

// TestFaultsAreBounded checks that a file of another kind does not print a fault per line
// of it.
func TestFaultsAreBounded(t *testing.T) {
	_, err := config.Parse("f", []byte(strings.Repeat("servces: 1\n", 100_000)), environment())
	var faults yamlread.Faults
	if !errors.As(err, &faults) || len(faults) != 1001 {
		t.Fatalf("got %d faults, want 1001", len(faults))
	}

	last := faults[1000].String()
	if last != "f:1001:1: more than 1000 faults; correct these first" {
		t.Errorf("last fault = %s, want the one about the limit", last)
	}
}

func TestKindOfAResponseThatWasNotLoaded(t *testing.T) {
	for want, r := range map[string]config.Respond{
		"json":     {JSON: yaml.Node{Kind: yaml.ScalarNode, Value: "1"}},
		"template": {Template: "a"},
		"text":     {},
	} {
		got := r.Kind()
		if got != want {
			t.Errorf("Kind() of %+v = %s, want %s", r, got, want)
		}
	}
}

func TestTheBuiltInConfigurationFindsPlaceAtOtherPorts(t *testing.T) {
	c, err := config.DefaultAt(9000, environment())
	if err != nil {
		t.Fatal(err)
	}

	got := []string{c.Issuer.URL, c.Issuer.Listen, c.Services[0].Listen, c.Admin.Listen, c.Path}
	want := []string{"https://localhost:9000", "127.0.0.1:9000", "127.0.0.1:9000", "127.0.0.1:9001", ""}
	if !slices.Equal(got, want) {
		t.Errorf("DefaultAt(9000) has %q, want %q", got, want)
	}

	c, err = config.DefaultAt(9000, environment("JETON_ADMIN_LISTEN", "off"))
	if err != nil || c.Admin.Listen != "off" {
		t.Errorf("DefaultAt with JETON_ADMIN_LISTEN = %+v, %v, want that address", c.Admin, err)
	}
}
