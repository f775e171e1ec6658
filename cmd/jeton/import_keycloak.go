//go:build !walletonly

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/api"
)

// maxRealm bounds a realm export, in bytes.
const maxRealm = 256 << 20

// keycloakUser is a user of a realm export. Members that are not here are ignored.
type keycloakUser struct {
	Name        string               `json:"username"`
	Email       string               `json:"email"`
	First       string               `json:"firstName"`
	Last        string               `json:"lastName"`
	Enabled     *bool                `json:"enabled"`
	Groups      []string             `json:"groups"`
	Service     string               `json:"serviceAccountClientId"`
	Credentials []keycloakCredential `json:"credentials"`
}

// keycloakCredential is a credential of a user, with two members that are JSON as text.
type keycloakCredential struct {
	Type   string `json:"type"`
	Secret string `json:"secretData"`
	Data   string `json:"credentialData"`
}

// keycloakUsers converts the users of a realm export to JSON lines. Accounts of clients are no users. It returns also
// what of their credentials is left out, for the operator, or "".
func keycloakUsers(from io.Reader) (rows []byte, left string, err error) {
	text, err := io.ReadAll(io.LimitReader(from, maxRealm+1))
	if err == nil && len(text) > maxRealm {
		err = fmt.Errorf("larger than %d MiB", maxRealm>>20)
	}
	if err != nil {
		return nil, "", err
	}

	var realm struct {
		Users []keycloakUser `json:"users"`
	}
	// The errors of package json may quote a hash.
	if json.Unmarshal(text, &realm) != nil {
		return nil, "", errClientJSON
	}
	if len(realm.Users) == 0 {
		return nil, "", errors.New("it has no users; export them with 'kc.sh export --users realm_file'")
	}

	var b bytes.Buffer
	e := json.NewEncoder(&b)
	losing := map[string]int{}
	for _, u := range realm.Users {
		if u.Service != "" {
			continue
		}
		if err := e.Encode(u.row()); err != nil {
			return nil, "", err
		}
		for _, kind := range u.factors() {
			losing[kind]++
		}
	}

	return b.Bytes(), leftFactors(losing), nil
}

// factors returns the types of the user's credentials beside passwords, each once.
func (u keycloakUser) factors() []string {
	var list []string
	for _, c := range u.Credentials {
		if c.Type != "password" && !slices.Contains(list, c.Type) {
			list = append(list, c.Type)
		}
	}

	return list
}

// leftFactors says which credentials are left out, by their types, and how many users have each. Without them a
// password alone signs these users in.
func leftFactors(losing map[string]int) string {
	if len(losing) == 0 {
		return ""
	}

	var list []string
	for _, kind := range slices.Sorted(maps.Keys(losing)) {
		list = append(list, fmt.Sprintf("%q of %s", kind, plural(losing[kind], "user")))
	}

	return "second factors and passkeys are not imported: " + strings.Join(list, ", ") +
		"; a password alone signs these users in until they add a factor here"
}

// row converts a user. A group of Keycloak is a path.
func (u keycloakUser) row() api.Moved {
	row := api.Moved{
		Name:  u.Name,
		Email: u.Email,
		First: u.First,
		Last:  u.Last,
	}
	if u.Enabled != nil {
		disabled := !*u.Enabled
		row.Disabled = &disabled
	}

	if len(u.Groups) > 0 {
		var groups []string
		for _, path := range u.Groups {
			groups = append(groups, strings.TrimPrefix(path, "/"))
		}
		row.Groups = &groups
	}

	for _, c := range u.Credentials {
		if c.Type == "password" {
			row.Hash = c.hash()
			break
		}
	}

	return row
}

// hash returns the password hash in a format that package password reads, or a text that names the algorithm and that
// it refuses.
func (c keycloakCredential) hash() string {
	var secret struct {
		Value string `json:"value"`
		Salt  string `json:"salt"`
	}
	var data struct {
		Rounds    int                 `json:"hashIterations"`
		Algorithm string              `json:"algorithm"`
		More      map[string][]string `json:"additionalParameters"`
	}
	errSecret, errData := json.Unmarshal([]byte(c.Secret), &secret), json.Unmarshal([]byte(c.Data), &data)
	key, errKey := base64.StdEncoding.DecodeString(secret.Value)
	salt, errSalt := base64.StdEncoding.DecodeString(secret.Salt)
	if errors.Join(errSecret, errData, errKey, errSalt) != nil {
		return "unreadable credential of Keycloak"
	}

	encode := base64.RawStdEncoding.EncodeToString
	switch data.Algorithm {
	case "pbkdf2-sha256", "pbkdf2-sha512", "pbkdf2":
		// Keycloak derives up to 64 bytes. Each block of PBKDF2 is of its own (RFC 8018, section 5.2), so the first one
		// is the hash with the length of the hash function.
		size := map[string]int{"pbkdf2-sha256": 32, "pbkdf2-sha512": 64, "pbkdf2": 20}[data.Algorithm]
		if len(key) > size {
			key = key[:size]
		}
		text := fmt.Sprintf("$%s$%d$%s$%s", data.Algorithm, data.Rounds, encode(salt), encode(key))

		return strings.ReplaceAll(text, "+", ".")
	case "argon2":
		one := func(name string) string {
			if len(data.More[name]) == 0 {
				return ""
			}
			return data.More[name][0]
		}
		version := map[string]string{"1.3": "19", "1.0": "16"}[one("version")]

		return fmt.Sprintf(
			"$argon2%s$v=%s$m=%s,t=%d,p=%s$%s$%s", one("type"), version, one("memory"), data.Rounds,
			one("parallelism"), encode(salt), encode(key),
		)
	}

	return "algorithm " + data.Algorithm + " of Keycloak"
}
