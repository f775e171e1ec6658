package api

// factorDocs documents the routes of second factors, invitations and requests for tokens, as docs does for the others.
var factorDocs = map[string]Doc{
	"GET /invitations":         listInvitationsDoc,
	"POST /invitations":        createInvitationDoc,
	"DELETE /invitations/{id}": endInvitationDoc,

	"GET /users/me/token-requests":                    listRequestsDoc,
	"POST /users/me/token-requests/{request}/approve": approveRequestDoc,
	"POST /users/me/token-requests/{request}/deny":    denyRequestDoc,
	"GET /token-requests":                             listAllRequestsDoc,
	"POST /token-requests/{request}/approve":          approveAnyRequestDoc,
	"POST /token-requests/{request}/deny":             denyRequestDoc,

	"GET /users/me/factors": {Summary: "List own second factors.", Out: Factors{}, Status: 200},
	"POST /users/me/factors": {
		Summary: "Add an authenticator app, which waits 10 minutes for its first code. Needs a proof.",
		In:      NewFactor{},
		Out:     Enrolment{},
		Status:  201,
		Fails:   []int{400, 403, 409},
	},
	"POST /users/me/factors/{factor}/confirm": {
		Summary: "Confirm an authenticator app with a code. The user's other sessions end. " +
			"The answer has recovery codes if the user has none.",
		In:     FactorCode{},
		Out:    RecoveryCodes{},
		Status: 200,
		Fails:  []int{400, 403, 404, 429},
	},
	"PUT /users/me/factors/{factor}": {
		Summary: "Name a passkey or an authenticator app. Needs a proof.",
		In:      FactorName{},
		Status:  204,
		Fails:   []int{400, 403, 404},
	},
	"DELETE /users/me/factors/{factor}": {
		Summary: "Remove a second factor. Needs a proof.",
		Status:  204,
		Fails:   []int{403, 404, 409},
	},
	"POST /users/me/recovery-codes": {
		Summary: "Make new recovery codes; the earlier ones end. Needs a proof.",
		Out:     RecoveryCodes{},
		Status:  200,
		Fails:   []int{403, 409},
	},
	"GET /users/{id}/factors": {
		Summary: "List the user's second factors. " + byName,
		Out:     Factors{},
		Status:  200,
		Fails:   []int{404},
	},
	"PUT /users/{id}/factors/{factor}": {
		Summary: "Name a passkey or an authenticator app of a user. " + byName,
		In:      FactorName{},
		Status:  204,
		Fails:   []int{400, 404},
	},
	"DELETE /users/{id}/factors": {
		Summary: "Remove all second factors of a user who has lost them, and end the user's sessions. " + byName,
		Query:   []Param{{"reason", "Why, for the audit log. Required."}},
		Status:  204,
		Fails:   []int{400, 404, 409},
	},
}

// docOf returns the documentation of a route.
func docOf(pattern string) Doc {
	for _, part := range []map[string]Doc{docs, clientDocs, factorDocs} {
		d, ok := part[pattern]
		if ok {
			return d
		}
	}

	return Doc{}
}
