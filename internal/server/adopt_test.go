package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
)

// TestAdoptionDoesNotExpandWhatUsersWrote is about names and addresses that read like variables of the file. No
// file can declare a client that a document describes.
func TestAdoptionDoesNotExpandWhatUsersWrote(t *testing.T) {
	text := `users:
  - name: user1
    password_hash: ` + declaredHash('A') + `
    groups: ['$${HOME}']
    first_name: '$${HOME}'
    last_name: 'a $$${HOME:-b} $5 $${'
clients:
  - name: client1
    secret_hash: 'a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447'
    services: [shop]
    scopes: [read]
    openid:
      redirect_uris: ['https://app.example.org/cb?a=$${HOME}']
      allow: {groups: ['$${HOME}', '$${NONE}']}
  - name: client2
    secret_hash: 'b948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447'
`

	o := newOlder(t, "", previous(t, "sqlite"))
	if _, err := server.Migrate(t.Context(), o.conf, false); err != nil {
		t.Fatal(err)
	}
	conf := load(t, o.conf.DataDir, text)
	if _, err := server.ApplyConfig(t.Context(), conf); err != nil {
		t.Fatal(err)
	}

	o.write(t, "UPDATE users SET declared = FALSE")
	o.write(t, "UPDATE clients SET declared = FALSE")
	o.write(t, "UPDATE clients SET (name, folded) = ('https://app.example/doc', 'https://app.example/doc') "+
		"WHERE name = 'client2'")
	if got := mustPlan(t, conf).Clients; len(got) > 0 {
		t.Errorf("undeclared clients of the plan = %v, want none", got)
	}

	found, err := server.Adopt(t.Context(), conf, func(string, string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"client https://app.example/doc: is described by its document; a file cannot declare it"}
	if !slices.Equal(found.Skipped[1:], want) {
		t.Errorf("skipped after diane = %q, want %q", found.Skipped[1:], want)
	}

	path := filepath.Join(t.TempDir(), "jeton.yaml")
	if err := os.WriteFile(path, append(found.YAML, protected...), 0o600); err != nil {
		t.Fatal(err)
	}
	adopted, err := config.Load(path, func(name string) (string, bool) {
		return "expanded", name == "HOME" || name == "NONE"
	})
	if err != nil {
		t.Fatalf("Load of what was adopted = %v\n%s", err, found.YAML)
	}

	plan := mustPlan(t, server.Config{File: adopted, DataDir: o.conf.DataDir})
	for _, c := range plan.Changes {
		if c.Action != "adopt" || len(c.Fields) > 0 {
			t.Errorf("plan has %+v, want nothing but adoptions without a change:\n%s", c, found.YAML)
		}
	}
	if len(plan.Changes) != 2 {
		t.Errorf("plan = %+v, want the user and the client adopted", plan.Changes)
	}
}
