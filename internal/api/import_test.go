package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// Known hashes of "pässwörd".
const (
	sha512Crypt = "$6$rounds=1000$saltsalt$osotUMSS7K.0TIfteadkw2nXkU3mHd2sic8QLeQ4NmBYvnNlee/" +
		"nDNLXQJypj6pZfrDryJ6nKZzumyw65bri70"
	djangoOf = "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuqXYpzrHdq/GQDRDZpcNTxdbndpFhZlW"
	shaOf8   = "{SHA}fCIvspJ9goryL1khNOiTJIBjfA0=" // of "12345678"
)

const importConf = `
users:
  - name: Alice
    password_hash: $argon2id$v=19$m=19456,t=2,p=1$1PCBIeRl9jh5RZ3wuB0tWg$Brk0ImOifExtrG14kJBF6YRdJBufVb+vvHzbVfIR/NM
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// importUsers imports users and returns a line with the verdict for each.
func importUsers(t *testing.T, s *jetontest.Server, in api.Import) []string {
	t.Helper()
	var got api.Verdicts
	s.MustControl("POST", "/api/v1/users/import", in, &got)
	var list []string
	for _, v := range got.Verdicts {
		list = append(list, v.Name+" "+v.Verdict)
	}

	return list
}

// export exports all users, in pages, and returns them by name.
func export(t *testing.T, s *jetontest.Server, limit int) map[string]api.Moved {
	t.Helper()
	all := map[string]api.Moved{}
	for after := int64(0); ; {
		var page api.Exported
		s.MustControl("GET", fmt.Sprintf("/api/v1/users/export?after=%d&limit=%d", after, limit), nil, &page)

		for _, u := range page.Users {
			all[u.Name] = u
		}

		after = page.Next
		if after == 0 {
			return all
		}
	}
}

// TestImportedUsersAreRehashedAtLogin checks that a weak hash is gone after the first
// login, which is the only time at which the password is known.
func TestImportedUsersAreRehashedAtLogin(t *testing.T) {
	s := jetontest.Start(t, importConf, jetontest.FullHash())
	const want = "[diane added dj added weak added]"

	got := importUsers(t, s, api.Import{
		AllowWeak: true,
		Users: []api.Moved{
			{Name: "diane", Hash: sha512Crypt},
			{Name: "dj", Hash: djangoOf},
			{Name: "weak", Hash: shaOf8},
		},
	})
	if fmt.Sprint(got) != want {
		t.Fatalf("verdicts %v, want %s", got, want)
	}

	for name, pw := range map[string]string{"diane": "pässwörd", "dj": "pässwörd", "weak": "12345678"} {
		before := export(t, s, 500)[name].Hash
		if a := s.TryEnter("shop", name, pw+"x"); a.Status != 401 {
			t.Errorf("login of %s with a wrong password = %d, want 401", name, a.Status)
		}
		if after := export(t, s, 500)[name].Hash; after != before {
			t.Errorf("%s: a wrong password changed the hash", name)
		}

		cookie := s.Enter("shop", name, pw)
		after := export(t, s, 500)[name].Hash
		if !strings.HasPrefix(after, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("the hash of %s after a login is %.12s, want argon2id", name, after)
		}

		if a := s.Ask("GET", "shop", "/me", "Cookie", cookie); a.Body != name {
			t.Errorf("GET /me as %s = %d %s, want the name", name, a.Status, a.Body)
		}

		s.Enter("shop", name, pw) // by the new hash
		again := export(t, s, 500)[name].Hash
		if again != after {
			t.Errorf("the hash of %s changed at a second login", name)
		}
	}
}

func TestExportThenImportIsTheSame(t *testing.T) {
	s := jetontest.Start(t, importConf)
	yes := true
	importUsers(t, s, api.Import{Users: []api.Moved{
		{
			Name:   "Diane",
			Email:  "Diane@example.org",
			First:  "Di",
			Last:   "<b>",
			Groups: &[]string{"b", "a"},
			Hash:   sha512Crypt,
		},
		{Name: "ben", Disabled: &yes}, {Name: "zoe", Hash: djangoOf, Disabled: &yes},
	}})

	s.AddUser("carl", right, "staff")
	before := export(t, s, 2)
	if len(before) != 5 || !before["Alice"].Declared || before["ben"].Hash != "" {
		t.Fatalf("export = %+v, want five users", before)
	}

	empty := jetontest.Start(t, strings.Replace(importConf, "Alice", "Bob", 1))
	var in api.Import
	for _, name := range []string{"Alice", "Diane", "ben", "carl", "zoe"} {
		in.Users = append(in.Users, before[name])
	}

	want := "[Alice declared Diane added ben added carl added zoe added]"
	got := importUsers(t, empty, in)
	if fmt.Sprint(got) != want {
		t.Errorf("verdicts %v, want %s", got, want)
	}

	after := export(t, empty, 500)
	delete(before, "Alice")
	delete(after, "Bob")
	a, b := object(before), object(after)
	if a != b {
		t.Errorf("users after the import = %s, want those before %s", b, a)
	}

	events := 0
	for _, e := range s.Events() {
		if e.Action == "user.export" {
			events++
		}
	}

	if events != 1 {
		t.Errorf("%d audit events for one export in pages, want 1", events)
	}
}

func object(v any) string { b, _ := json.Marshal(v); return string(b) }

func TestImport(t *testing.T) {
	s := jetontest.Start(t, importConf)
	s.AddUser("old", right, "staff")

	for _, tc := range []struct {
		name    string
		user    api.Moved
		verdict string
		reason  string
	}{
		{"no name", api.Moved{}, "refused", "invalid user name"},
		{"a name with a space", api.Moved{Name: "a b"}, "refused", "without spaces"},
		{"an invalid address", api.Moved{Name: "x", Email: "x"}, "refused", "invalid email"},
		{"an invalid id", api.Moved{Name: "x", ID: "7"}, "refused", "want a UUID"},
		{"an id in capitals", api.Moved{Name: "x", ID: "00000000-0000-4000-8000-00000000000A"}, "refused", "UUID"},
		{"a group with a comma", api.Moved{Name: "x", Groups: &[]string{"a,b"}}, "refused", "invalid group name"},
		{"a plain password for a hash", api.Moved{Name: "x", Hash: "hunter2hunter2"}, "refused", "not a password hash"},
		{"a weak hash", api.Moved{Name: "x", Hash: shaOf8}, "refused", "--allow-weak"},
		{
			"a hash that would cost a minute",
			api.Moved{Name: "x", Hash: strings.Replace(sha512Crypt, "1000", "999999999", 1)},
			"refused",
			"out of bounds",
		},
		{
			"a hash that would cost all memory",
			api.Moved{Name: "x", Hash: "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$AJFIsNZTMKTAewB4+ETN1A"},
			"refused",
			"out of bounds",
		},
		{"an existing user", api.Moved{Name: "old", Hash: sha512Crypt}, "exists", ""},
		{"an existing user in another case", api.Moved{Name: "OLD"}, "exists", ""},
		{"a user declared here", api.Moved{Name: "alice", Hash: sha512Crypt}, "declared", "configuration file"},
		{"a user declared elsewhere", api.Moved{Name: "x", Declared: true}, "declared", "configuration file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got api.Verdicts
			s.MustControl("POST", "/api/v1/users/import", api.Import{Users: []api.Moved{tc.user}}, &got)
			v := got.Verdicts[0]
			if v.Verdict != tc.verdict || !strings.Contains(
				v.Reason,
				tc.reason,
			) || strings.Contains(v.Reason, "hunter2") {
				t.Errorf("%+v, want %s: %s", v, tc.verdict, tc.reason)
			}
		})
	}

	all := export(t, s, 500)
	if len(all) != 2 {
		t.Errorf("%d users after the refusals, want 2", len(all))
	}
}

func TestUpdateByImport(t *testing.T) {
	s := jetontest.Start(t, importConf)
	s.AddUser("diane", right, "staff")
	cookie := s.Enter("shop", "diane", right)
	row := api.Moved{Name: "diane", Email: "d@example.org"}
	in := api.Import{Update: true, Users: []api.Moved{row}}
	dry := in
	dry.DryRun = true

	before := object(export(t, s, 500))
	if got := importUsers(t, s, dry); got[0] != "diane changed" || object(export(t, s, 500)) != before {
		t.Errorf("dry run = %v, want diane changed, and no change", got)
	}
	if got := importUsers(t, s, in); got[0] != "diane changed" {
		t.Errorf("import = %v, want diane changed", got)
	}

	u := export(t, s, 500)["diane"]
	if u.Email != row.Email || fmt.Sprint(*u.Groups) != "[staff]" || s.Ask(
		"GET", "shop", "/me", "Cookie", cookie,
	).Status != 200 {
		t.Errorf("diane with a new address = %+v, want the same groups and session", u)
	}

	if got := importUsers(t, s, in); got[0] != "diane exists" {
		t.Errorf("the same import again = %v, want diane exists", got)
	}

	in.Users[0].Hash = sha512Crypt
	importUsers(t, s, in)

	if s.Ask("GET", "shop", "/me", "Cookie", cookie).Status != 401 || s.TryEnter("shop", "diane", right).Status != 401 {
		t.Error("the session or the old password is accepted after an import of another hash")
	}

	s.Enter("shop", "diane", "pässwörd")
}

func TestInvalidImports(t *testing.T) {
	s := jetontest.Start(t, importConf)
	for _, tc := range []struct {
		name, call, body string
		want             error
	}{
		{"no users", "POST /users/import", `{"users":[]}`, jeton.ErrInvalid},
		{
			"one too many",
			"POST /users/import",
			object(api.Import{Users: make([]api.Moved, api.MaxImport+1)}),
			jeton.ErrInvalid,
		},
		{"a password", "POST /users/import", `{"users":[{"name":"x","password":"hunter2"}]}`, jeton.ErrInvalid},
		{"an empty page", "GET /users/export?limit=0", "", jeton.ErrInvalid},
		{"a page that is too large", "GET /users/export?limit=501", "", jeton.ErrInvalid},
		{"an invalid page", "GET /users/export?after=x", "", jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tc.call, " ")
			var in any
			if tc.body != "" {
				in = tc.body
			}

			if err := s.Control(method, "/api/v1"+path, in, nil); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}
