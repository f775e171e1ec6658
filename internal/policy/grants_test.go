package policy

import (
	"slices"
	"testing"

	"github.com/jeton-auth/jeton"
)

func TestATokenHasTheScopesThatItsOwnerIsGranted(t *testing.T) {
	grants := Grants{
		{Scopes: []string{"read"}},
		{Scopes: []string{"write", "list"}, Allow: &Allow{Groups: []string{"staff"}}},
		{Scopes: []string{"admin"}, Allow: &Allow{Users: []string{"diane"}}},
	}
	asked := []string{"admin", "other", "read", "write"}

	diane := jeton.Principal{Kind: jeton.KindUser, Name: "diane"}
	staff := jeton.Principal{Kind: jeton.KindUser, Name: "eshana", Groups: []string{"staff"}}
	client := jeton.Principal{Kind: jeton.KindClient, Name: "diane"}

	for _, tc := range []struct {
		name   string
		grants Grants
		owner  jeton.Principal
		asked  []string
		want   []string
	}{
		{"no grants", nil, diane, asked, nil},
		{"a user by name", grants, diane, asked, []string{"admin", "read"}},
		{"a member of a group", grants, staff, asked, []string{"read", "write"}},
		{"everything granted", grants, staff, []string{"list", "read"}, []string{"list", "read"}},
		{"nothing asked", grants, diane, nil, nil},
		{"a client has its own", grants, client, asked, asked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.grants.Limit(tc.owner, tc.asked)
			if !slices.Equal(got, tc.want) {
				t.Errorf("Limit = %v, want %v", got, tc.want)
			}
		})
	}

	if want := []string{"admin", "other", "read", "write"}; !slices.Equal(asked, want) {
		t.Errorf("the scopes of the token are %v afterwards, want %v", asked, want)
	}
}
