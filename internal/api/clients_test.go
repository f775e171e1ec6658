package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/jetontest"
)

func publicKey(t *testing.T) jose.Key {
	t.Helper()
	s, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}

	return s.Key()
}

func TestInvalidRequestsAboutClients(t *testing.T) {
	s := jetontest.Start(t, conf)
	s.AddUser("diane", right)
	key := publicKey(t)
	s.MustControl("POST", "/api/v1/clients", api.NewClient{
		Name: "job",
		Keys: []api.NewClientKey{{Key: string(key.PEM()), ID: "a"}},
	}, nil)

	object := func(v any) string { b, _ := json.Marshal(v); return string(b) }

	other := string(publicKey(t).PEM())
	for _, tc := range []struct {
		name, call, body string
		want             error
	}{
		{"no name", "POST /clients", `{}`, jeton.ErrInvalid},
		{"a name with a slash", "POST /clients", `{"name":"a/b"}`, jeton.ErrInvalid},
		{"a name that is taken", "POST /clients", `{"name":"job"}`, jeton.ErrConflict},
		{"a name that differs in case", "POST /clients", `{"name":"JOB"}`, jeton.ErrConflict},
		{"the name of a user", "POST /clients", `{"name":"Diane"}`, jeton.ErrConflict},
		{"the name of a declared user", "POST /clients", `{"name":"alice"}`, jeton.ErrConflict},
		{
			"a user with the name of a client",
			"POST /users",
			object(api.NewUser{Name: "job", Password: right}),
			jeton.ErrConflict,
		},
		{
			"a key source",
			"POST /clients",
			`{"name":"x","source":{"url":"http://169.254.169.254/"}}`,
			jeton.ErrInvalid,
		},
		{"declared", "POST /clients", `{"name":"x","declared":true}`, jeton.ErrInvalid},
		{"a hash for a secret", "POST /clients", `{"name":"x","secret":"abc"}`, jeton.ErrInvalid},
		{"an invalid key", "POST /clients", `{"name":"x","keys":[{"key":"x"}]}`, jeton.ErrInvalid},
		{"a key that is an object", "POST /clients", `{"name":"x","keys":[{"key":{"kty":"OKP"}}]}`, jeton.ErrInvalid},
		{"a scope with a space", "POST /clients", `{"name":"x","scopes":["a b"]}`, jeton.ErrInvalid},

		{"no key", "POST /clients/job/keys", `{}`, jeton.ErrInvalid},
		{
			"the key of an unknown client",
			"POST /clients/unknown/keys",
			object(api.NewClientKey{Key: other}),
			jeton.ErrNotFound,
		},
		{
			"a key that is registered",
			"POST /clients/job/keys",
			object(api.NewClientKey{Key: string(key.PEM())}),
			jeton.ErrConflict,
		},
		{
			"a key id that is registered",
			"POST /clients/job/keys",
			object(api.NewClientKey{Key: other, ID: "a"}),
			jeton.ErrConflict,
		},
		{"an invalid time", "POST /clients/job/keys", `{"key":"x","not_before":"soon"}`, jeton.ErrInvalid},
		{
			"a key that expires before it is valid",
			"POST /clients/job/keys",
			object(api.NewClientKey{Key: other, NotBefore: time.Unix(2, 0), NotAfter: time.Unix(1, 0)}),
			jeton.ErrInvalid,
		},
		{
			"an unknown algorithm",
			"POST /clients/job/keys",
			object(api.NewClientKey{Key: other, Algorithm: "none"}),
			jeton.ErrInvalid,
		},
		{"retiring no key", "DELETE /clients/job/keys/none", "", jeton.ErrNotFound},
		{"retiring the key of an unknown client", "DELETE /clients/unknown/keys/a", "", jeton.ErrNotFound},
		{"ending tokens perhaps", "DELETE /clients/job/keys/a?end_tokens=perhaps", "", jeton.ErrInvalid},

		{"neither disabled nor enabled", "PUT /clients/job/disabled", `{}`, jeton.ErrInvalid},
		{"disabling an unknown client", "PUT /clients/unknown/disabled", `{"disabled":true}`, jeton.ErrNotFound},
		{"no terms", "PUT /clients/job/terms", `{}`, jeton.ErrInvalid},
		{"one scope, no list", "PUT /clients/job/terms", `{"scopes":"read"}`, jeton.ErrInvalid},
		{"terms of an unknown client", "PUT /clients/unknown/terms", `{"scopes":[]}`, jeton.ErrNotFound},
		{"a secret for an unknown client", "POST /clients/unknown/secret", "", jeton.ErrNotFound},
		{"a secret, and tokens ended perhaps", "POST /clients/job/secret?end_tokens=2", "", jeton.ErrInvalid},
		{"removing the secret of an unknown client", "DELETE /clients/unknown/secret", "", jeton.ErrNotFound},
		{"ending tokens of an unknown client", "POST /clients/unknown/end-tokens", "", jeton.ErrNotFound},
		{"removing an unknown client", "DELETE /clients/unknown", "", jeton.ErrNotFound},
		{"reading an unknown client", "GET /clients/unknown", "", jeton.ErrNotFound},
		{"a page of no clients", "GET /clients?limit=0", "", jeton.ErrInvalid},
		{"a page of too many clients", "GET /clients?limit=1001", "", jeton.ErrInvalid},
		{"a cursor that is none", "GET /clients?cursor=x", "", jeton.ErrInvalid},
		{"a prefix that is no UTF-8", "GET /clients?prefix=%ff", "", jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tc.call, " ")
			var in any
			if tc.body != "" {
				in = tc.body
			}

			if err := s.Control(method, "/api/v1"+path, in, nil); !errors.Is(err, tc.want) {
				t.Errorf("%s %s: %v, want %v", tc.call, tc.body, err, tc.want)
			}
		})
	}

	var list []jeton.Client
	s.MustControl("GET", "/api/v1/clients", nil, &list)

	if len(list) != 1 || list[0].Disabled || list[0].Secret || len(list[0].Keys) != 1 || list[0].Keys[0].Retired {
		t.Errorf("clients after the refusals = %+v, want job unchanged", list)
	}
}

func TestClients(t *testing.T) {
	s := jetontest.Start(t, conf)
	var list []jeton.Client
	s.MustControl("GET", "/api/v1/clients", nil, &list)

	if list == nil || len(list) != 0 {
		t.Errorf("clients = %v, want an empty list", list)
	}

	one, two := publicKey(t), publicKey(t)
	var created api.MadeClient
	s.MustControl("POST", "/api/v1/clients", api.NewClient{
		Name:     "job",
		Services: []string{"shop"},
		Scopes:   []string{"write", "read"},
		Secret:   true,
		Keys:     []api.NewClientKey{{Key: string(one.PEM())}},
	}, &created)

	if !secret.Is(
		secret.Client,
		created.Secret,
	) || created.Client.Name != "job" || !created.Client.Secret || created.Client.Keys[0].ID != one.Thumbprint() {
		t.Errorf("POST /clients = %+v, want job with a secret and a key", created.Client)
	}

	var key jeton.ClientKey
	s.MustControl("POST", "/api/v1/clients/job/keys", api.NewClientKey{
		Key:      string(two.JWK()),
		ID:       "second",
		NotAfter: time.Unix(4_000_000_000, 0),
	}, &key)

	if key.ID != "second" || key.Algorithm != "EdDSA" || !key.NotBefore.IsZero() ||
		key.NotAfter.Unix() != 4_000_000_000 {
		t.Errorf("POST keys = %+v, want second until 4e9", key)
	}

	var replaced api.ClientSecret
	s.MustControl("POST", "/api/v1/clients/job/secret?end_tokens=true", nil, &replaced)

	if !secret.Is(secret.Client, replaced.Secret) || replaced.Secret == created.Secret {
		t.Error("the new secret is invalid, or the old one")
	}

	s.MustControl("PUT", "/api/v1/clients/job/terms", api.ClientTerms{
		Scopes:      &[]string{},
		Introspects: &[]string{"shop"},
	}, nil)

	s.MustControl("DELETE", "/api/v1/clients/job/keys/second?end_tokens=true", nil, nil)
	s.MustControl("PUT", "/api/v1/clients/job/disabled", api.Disabled{Disabled: true}, nil)
	s.MustControl("DELETE", "/api/v1/clients/job/secret", nil, nil)
	s.MustControl("POST", "/api/v1/clients/job/end-tokens", nil, nil)

	s.MustControl("GET", "/api/v1/clients", nil, &list)

	if got := fmt.Sprintln(
		len(list), list[0].Services, list[0].Scopes, list[0].Introspects, list[0].Secret, list[0].Disabled,
		list[0].Keys[0].Retired, list[0].Keys[1].Retired,
	); got != "1 [shop] [] [shop] false true false true\n" {
		t.Errorf("client after the changes = %s", got)
	}

	s.MustControl("DELETE", "/api/v1/clients/job", nil, nil)
	var got []string
	for _, e := range s.Events() {
		if e.Actor == "operator" {
			got = append(got, e.Action)
		}
		if strings.Contains(e.Reason, "jtn_") {
			t.Errorf("the audit log contains a secret: %+v", e)
		}
	}

	want := "[client.add client.key.add client.secret client.change client.key.retire " +
		"client.change client.secret client.end-tokens client.remove]"
	if fmt.Sprint(got) != want {
		t.Errorf("events %v, want %s", got, want)
	}
}
