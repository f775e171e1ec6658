package upstream

import (
	"context"
	"errors"
	"slices"
	"strconv"
)

// GitHubURL is the address of GitHub, and the issuer of its users.
const GitHubURL = "https://github.com"

// gitHub returns the addresses of GitHub, or of a GitHub Enterprise Server.
func (p *Provider) gitHub() *metadata {
	return &metadata{
		Issuer:        p.Issuer,
		Authorization: p.Issuer + "/login/oauth/authorize",
		Token:         p.Issuer + "/login/oauth/access_token",
		AuthMethods:   []string{"client_secret_post"},
	}
}

// gitHubAPI returns the address of the REST API.
func (p *Provider) gitHubAPI() string {
	if p.Issuer == GitHubURL {
		return "https://api.github.com"
	}

	return p.Issuer + "/api/v3"
}

// gitHubEmail is an address of a user.
type gitHubEmail struct {
	Email    string `json:"email"`
	Primary  bool   `json:"primary"`
	Verified bool   `json:"verified"`
}

// gitHubUser returns the user of an access token. GitHub has no ID token: that the code is of this sign-in follows from
// PKCE and the state.
func (p *Provider) gitHubUser(ctx context.Context, access string) (Identity, error) {
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
	}
	if err := p.get(ctx, p.gitHubAPI()+"/user", access, &user); err != nil {
		return Identity{}, p.down("user", err)
	}
	if user.ID <= 0 {
		return Identity{}, p.down("user", errors.New("it has no id"))
	}

	var emails []gitHubEmail
	if err := p.get(ctx, p.gitHubAPI()+"/user/emails", access, &emails); err != nil {
		return Identity{}, p.down("addresses of the user", err)
	}

	// The number: names at GitHub can be changed, and taken by others.
	i := Identity{Issuer: p.Issuer, Subject: strconv.FormatInt(user.ID, 10), Preferred: user.Login}
	at := slices.IndexFunc(emails, func(e gitHubEmail) bool { return e.Primary })
	if at >= 0 {
		i.Email, i.Verified = emails[at].Email, emails[at].Verified
	}

	return i, nil
}
