//go:build !walletonly

package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"

	"github.com/spf13/cobra"
)

// tokenRequests implements 'jeton token requests'.
func tokenRequests() *cobra.Command {
	var p place
	var out output
	var user string

	c := &cobra.Command{
		Use:     "requests --user USER",
		Short:   "List the requests for tokens that wait for a user, newest first",
		Args:    noArgs,
		Example: `  jeton token requests --user diane`,
	}

	path := func() string { return "/api/v1/token-requests?" + url.Values{"user": {user}}.Encode() }
	headings := []string{
		"ID",
		"REQUESTED BY",
		"NAME",
		"SERVICE",
		"SCOPES",
		"ALLOWS",
		"USES",
		"LIFETIME",
		"REASON",
		"ENDS",
	}
	c.RunE = listing(&p, &out, path, headings, func(r jeton.WaitingRequest) []string {
		uses := "not counted"
		if r.MaxUses > 0 {
			uses = fmt.Sprint(r.MaxUses)
		}

		return []string{
			r.ID,
			r.By,
			r.Name,
			r.Service,
			cmp.Or(strings.Join(r.Scopes, " "), "-"),
			cmp.Or(strings.Join(r.Allows, ", "), "every request"),
			uses,
			(time.Duration(r.Seconds) * time.Second).String(),
			r.Reason,
			when(r.Expires),
		}
	})

	c.Flags().StringVar(&user, "user", "", "user who is asked (required)")
	_ = c.MarkFlagRequired("user")

	return withFlags(c, &p, &out)
}

// answerPath returns the path in the API at which a request is answered.
func answerPath(id, answer string) string {
	return "/api/v1/token-requests/" + url.PathEscape(id) + "/" + answer
}

// tokenApprove implements 'jeton token approve'.
func tokenApprove() *cobra.Command {
	var in jeton.TokenTerms
	var lifetime time.Duration

	c := changeCommand(&cobra.Command{
		Use:   "approve REQUEST",
		Short: "Approve a request for a token for its user, perhaps narrower",
		Args:  exactArgs("REQUEST"),
		Example: `  jeton token approve r_06h03tp9e1xyq4jgdbkdrx8
  jeton token approve r_06h03tp9e1xyq4jgdbkdrx8 --max-uses 3 --expires 10m`,
	}, func(args []string) (change, error) {
		body := jeton.TokenApproval{
			Scopes:  in.Scopes,
			Allows:  in.Allows,
			MaxUses: in.MaxUses,
			Seconds: int64(lifetime / time.Second),
		}

		return change{
			method:  http.MethodPost,
			path:    answerPath(args[0], "approve"),
			body:    body,
			subject: "request " + args[0],
			done:    "approved " + args[0],
		}, nil
	})
	narrowing(c.Flags(), &in)
	c.Flags().Var((*durationFlag)(&lifetime), "expires", "lifetime, such as 10m (default: as requested)")

	return c
}

// tokenDeny implements 'jeton token deny'.
func tokenDeny() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "deny REQUEST",
		Short:   "Refuse a request for a token",
		Args:    exactArgs("REQUEST"),
		Example: `  jeton token deny r_06h03tp9e1xyq4jgdbkdrx8`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPost,
			path:    answerPath(args[0], "deny"),
			subject: "request " + args[0],
			done:    "refused " + args[0],
		}, nil
	})
}
