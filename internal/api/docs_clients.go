package api

import "github.com/jeton-auth/jeton"

// clientDocs documents the routes of clients by their patterns.
var clientDocs = map[string]Doc{
	"GET /clients": {
		Summary: "List the clients by name. The header Link has the next page.",
		Query: []Param{
			{"limit", "Clients per page, 1 to 1000. Default: 1000."},
			{"cursor", "Start of the page, from the header Link."},
			{"prefix", "Beginning of a name; case does not count."},
		},
		Out:    []jeton.Client{},
		Status: 200,
		Fails:  []int{400},
	},
	"GET /clients/{name}": {
		Summary: "Get a client with its keys.",
		Out:     jeton.Client{},
		Status:  200,
		Fails:   []int{404},
	},
	"GET /clients/{name}/claims": {
		Summary: "Show what the client would learn of a user who signs in there. It signs no user in.",
		Query: []Param{
			{"user", "Name of the user. Required."},
			{"scope", "Scopes of the request, with spaces between them. Default: openid profile email groups."},
		},
		Out:    ClaimsPreview{},
		Status: 200,
		Fails:  []int{400, 404},
	},
	"POST /clients": {
		Summary: "Register a client. Its secret, if it has one, is returned only here.",
		In:      NewClient{},
		Out:     MadeClient{},
		Status:  201,
		Fails:   []int{409},
	},
	"DELETE /clients/{name}": {
		Summary: "Remove a client with all its tokens.",
		Status:  204,
		Fails:   []int{404, 409},
	},
	"PUT /clients/{name}/disabled": {
		Summary: "Disable a client, which revokes all its tokens, or enable it.",
		In:      Disabled{},
		Status:  204,
		Fails:   []int{404, 409},
	},
	"PUT /clients/{name}/terms": {
		Summary: "Change what a client may have tokens for. Issued tokens keep their terms.",
		In:      ClientTerms{},
		Status:  204,
		Fails:   []int{404, 409},
	},
	"PUT /clients/{name}/addresses": {
		Summary: "Change the addresses of a client that signs users in. Absent members stay as they are.",
		In:      ClientAddresses{},
		Status:  204,
		Fails:   []int{404, 409},
	},
	"POST /clients/{name}/secret": {
		Summary: "Replace the secret of a client. The new secret is returned only here.",
		Query:   []Param{endTokens},
		Out:     ClientSecret{},
		Status:  201,
		Fails:   []int{400, 404, 409},
	},
	"DELETE /clients/{name}/secret": {
		Summary: "Remove the secret of a client.",
		Query:   []Param{endTokens},
		Status:  204,
		Fails:   []int{400, 404, 409},
	},
	"POST /clients/{name}/end-tokens": {
		Summary: "Revoke all tokens of a client.",
		Status:  204,
		Fails:   []int{404},
	},
	"POST /clients/{name}/keys": {
		Summary: "Register a public key of a client.",
		In:      NewClientKey{},
		Out:     jeton.ClientKey{},
		Status:  201,
		Fails:   []int{404, 409},
	},
	"DELETE /clients/{name}/keys/{kid}": {
		Summary: "Retire a public key of a client. Its key id stays taken.",
		Query:   []Param{endTokens},
		Status:  204,
		Fails:   []int{400, 404, 409},
	},
}
