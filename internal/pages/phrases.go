package pages

import (
	"regexp"
	"slices"
)

// phrase is something that the audit log says in English, and its message. The groups of the pattern are the arguments,
// in their order; the first letter of the name of a group says of what kind it is: t a time, d a duration, n a number,
// s a name, l a list with brackets around it, a who is allowed, k kinds of credential, p what a request shows, and c
// anything else, which is shown as code.
type phrase struct {
	pattern string
	text    Text
}

// phrases are what the checks of a decision say, as packages gate, session, token and signin phrase them. A check
// consists of several, with a comma, a semicolon or a colon between them. What wholeText finds needs none.
var phrases = []phrase{
	// The route.
	{`(?P<c>(?:[A-Z]+ )?\S*/\S*)`, text("phrase.as-is")},
	{`audited`, text("phrase.audited")},
	{`scopes (?P<l>\[[^\]]*\])`, text("admin.rule.scopes")},
	{`uses (?P<n>\d+) of (?P<c>"[^"]*")`, text("phrase.budget")},
	{`uses (?P<n>\d+) of (?P<c>"[^"]*") by credential`, text("phrase.budget-each")},
	{`no service has this address or name`, text("phrase.no-service")},
	{`this is the only way in which you can sign in`, text("phrase.only-way")},
	{`this is the only way in which the user can sign in`, text("phrase.only-way-of-user")},
	{`have the user set a password by a link first, or disable the user`, text("phrase.set-password-first")},
	{`service (?P<s>\S+) has no route for it`, text("phrase.no-route")},

	// The credential.
	{`session (?P<c>\S+) of user (?P<s>\S+)`, text("phrase.session")},
	{`a new session of user (?P<s>\S+)`, text("phrase.new-session")},
	{`who has none here`, text("phrase.none-here")},
	{`started (?P<t>\S+) from (?P<c>\S*)`, text("phrase.started")},
	{`(?P<c>\S+) token (?P<c2>\S+) of (?:user|client) (?P<s>\S+) for (?P<l>\[[^\]]*\])`, text("phrase.token")},
	{`issued (?P<t>\S+)`, text("phrase.issued")},
	{`password of user (?P<s>\S+)`, text("phrase.password")},
	{`checked (?P<t>\S+)`, text("phrase.checked")},
	{`client (?P<s>\S+)`, text("phrase.client")},
	{`by an assertion`, text("phrase.by-assertion")},
	{`by its secret`, text("phrase.by-secret")},

	// Why it is not valid.
	{`more than one cookie (?P<c>\S+)`, text("phrase.two-cookies")},
	{`no credential that this route accepts`, text("phrase.not-accepted")},
	{`the request shows (?P<p>[^,]*)`, text("phrase.shows")},
	{`a Bearer token`, text("phrase.bearer")},
	{`Basic credentials`, text("phrase.basic")},
	{`a header Authorization of an unknown scheme`, text("phrase.unknown-scheme")},
	{`the cookie (?P<c>\S+)`, text("phrase.cookie")},
	{`the route accepts (?P<k>[a-z ]+)`, text("phrase.accepts")},
	{`not the form of a Jeton token`, text("phrase.no-token-form")},
	{
		`no such token, or it has expired, or its owner is disabled`,
		text("phrase.no-such-token"),
	},
	{`token (?P<c>\S+) was revoked or has expired`, text("phrase.revoked-or-expired")},
	{`token (?P<c>\S+) has been revoked`, text("phrase.revoked")},
	{`token (?P<c>\S+) of \w+:(?P<s>\S+) ended (?P<t>\S+)`, text("phrase.token-ended")},
	{`token (?P<c>\S+) (?P<c2>"[^"]*") of \w+:(?P<s>\S+) ended (?P<t>\S+)`, text("phrase.named-ended")},
	{`token (?P<c>\S+) is for (?P<l>\[[^\]]*\]), not for this service`, text("phrase.other-audience")},
	{`the token is for (?P<l>\[[^\]]*\]), not for this service`, text("phrase.audience")},
	{
		`the owner of token (?P<c>\S+) is deleted, disabled, or has revoked its tokens`,
		text("phrase.owner-ended"),
	},
	{`user (?P<s>\S+) is valid at service (?P<s2>\S+) only`, text("phrase.one-service")},

	// Why a signed token is none.
	{`malformed token`, text("phrase.malformed")},
	{`it is not header.payload.signature`, text("phrase.no-jws")},
	{`(?P<c>header|payload|claims)`, text("phrase.as-is")},
	{`not base64url`, text("phrase.not-encoded")},
	{`not a JSON object`, text("phrase.no-json")},
	{`\d+ bytes are more than a token has`, text("phrase.too-long")},
	{`(?P<n>\d+) bytes, at most \d+ are read`, text("phrase.bytes")},
	{`signature is wrong \(key (?P<c>\S+)\)`, text("phrase.wrong-signature")},
	{`algorithm is not the key's \(key (?P<c>\S+)\)`, text("phrase.wrong-algorithm")},
	{`key (?P<c>\S+) is not a token key of this server`, text("phrase.foreign-key")},
	{`key (?P<c>\S+) no longer verifies tokens`, text("phrase.old-key")},
	{`it names no key`, text("phrase.names-no-key")},
	{`its type is (?P<c>\S+), want at\+jwt`, text("phrase.wrong-type")},
	{`its issuer is (?P<c>\S+)`, text("phrase.its-issuer")},
	{`its client_id is (?P<c>\S+)`, text("phrase.its-client")},
	{`it lacks (?P<c>[a-z, ]+) or (?P<c2>[a-z]+)`, text("phrase.lacks")},

	// The time.
	{`now (?P<t>\S+)`, text("phrase.now")},
	{`last used (?P<t>\S+)`, text("phrase.last-used")},
	{`expires (?P<t>\S+)`, text("phrase.expires")},
	{`idle at most (?P<d>\S+)`, text("phrase.idle")},
	{`valid from (?P<t>\S+)`, text("phrase.valid-from")},
	{`valid from a login on`, text("phrase.from-login")},
	{`(?:good|valid) for this request`, text("phrase.this-request")},

	// Who may.
	{`user (?P<s>\S+) in groups (?P<l>\[[^\]]*\])`, text("phrase.user-groups")},
	{`user (?P<s>\S+) in groups (?P<l>\[[^\]]*\]) with scopes (?P<l2>\[[^\]]*\])`, text("phrase.user-scopes")},
	{`client (?P<s>\S+) in groups \[\]`, text("phrase.client")},
	{`client (?P<s>\S+) in groups \[\] with scopes (?P<l>\[[^\]]*\])`, text("phrase.client-scopes")},
	{`those who may log in are (?P<a>[^;:]+)`, text("phrase.may-log-in")},
	{`allowed are (?P<a>[^;:]+)`, text("phrase.allowed")},
	{`needed are scopes (?P<l>\[[^\]]*\])`, text("phrase.needed")},
	{`the token is valid for (?P<l>\[[^\]]*\])`, text("phrase.token-rules")},
	{`the token is valid from (?P<l>\[[^\]]*\])`, text("phrase.token-networks")},

	// How the user was proved.
	{`required`, text("phrase.required")},
	{`two factors`, text("phrase.two-factors")},
	{`two factors of users who manage others`, text("phrase.managers")},
	{`two factors are required of users who manage others`, text("phrase.managers-required")},
	{
		`two factors are required of this user, who manages others, from (?P<t>\S+) on`,
		text("phrase.managers-from"),
	},
	{`proved at most (?P<d>\S+) ago`, text("phrase.proved-ago")},
	{`the user was proved by (?P<c>[^,;]+)`, text("phrase.proved-by")},
	{`the user was proved by (?P<c>[^,;]+) at (?P<t>\S+)`, text("phrase.proved-by-at")},
	{`a token counts as what its creator showed`, text("phrase.token-proof")},
	{`the sign-in asks for it`, text("phrase.asks-for-it")},
	{`two factors are required here, and the user was proved by (?P<c>[^,;]+)`, text("phrase.one-factor")},
	{
		`the user has to be proved at most (?P<d>\S+) ago, and was proved by (?P<c>[^,;]+)`,
		text("phrase.no-proof-time"),
	},
	{`the user has to be proved at most (?P<d>\S+) ago, and was proved at (?P<t>\S+)`, text("phrase.old-proof")},

	// Uses.
	{`not counted`, text("try.uncounted")},
	{`HEAD takes none`, text("phrase.head")},
	{`(?P<n>\d+) left`, text("phrase.left")},
	{`a page that is fetched ahead takes no use: open it to take one`, text("phrase.ahead")},
	{`uses are counted here, and the request asks for another protocol`, text("phrase.upgrade")},

	// A sign-in.
	{`a name and a password`, text("phrase.name-and-password")},
	{`source (?P<c>\S*)`, text("phrase.source")},
	{`known to the account: true`, text("phrase.known-source")},
	{`known to the account: false`, text("phrase.new-source")},
	{`could not be checked`, text("phrase.not-checked")},
	{`lifetime (?P<d>\S+)`, text("phrase.lifetime")},
	{`idle (?P<d>\S+)`, text("phrase.idle")},
	{`at most (?P<n>\d+) sessions \(evict_oldest\)`, text("phrase.sessions-evict")},
	{`at most (?P<n>\d+) sessions \(refuse\)`, text("phrase.sessions-refuse")},
	{`(?P<n>\d+) logins in (?P<d>\S+)`, text("phrase.logins-in")},
	{`(?P<n>\d+) logins until an operator allows more`, text("phrase.logins-operator")},
	{`(?P<d>\S+) between logins`, text("phrase.cooldown")},
	{`login \d+, whose session the request showed, ends`, text("phrase.replaced")},

	// A token for a client.
	{`an assertion, or a client_id and a secret`, text("phrase.assertion-or-secret")},
	{`the client's keys could not be looked up`, text("phrase.no-keys")},
	{`(?P<n>\d+) keys tried`, text("phrase.keys-tried")},
	{`key (?P<c>\S+)`, text("phrase.key")},
	{`not used before`, text("phrase.unused")},
	{`requested (?P<l>\[[^\]]*\])`, text("phrase.requested")},
	{`the client may have (?P<l>\[[^\]]*\])`, text("phrase.may-have")},
	{`(?P<c>\S+) for (?P<s>\S+)`, text("phrase.format-for")},
	{`valid after (?P<d>\S+)`, text("phrase.valid-after")},
	{`(?P<n>\d+) uses`, text("phrase.uses")},
	{`(?P<n>\d+) bytes`, text("phrase.bytes")},
	{`got (?P<l>\[[^\]]*\])`, text("phrase.got")},
	{`want (?P<c>"[^"]*")`, text("phrase.want")},
	{`restored (?P<t>\S+)`, text("phrase.restored")},
	{`none`, text("phrase.none")},
	{`(?P<t>\d{4}-\d\d-\d\dT\S+)`, text("phrase.as-is")},
	{`(?P<c>(?:alg|kid|typ|sub|aud|iat|exp|jti|iss) (?:\S+|"[^"]*"|\[[^\]]*\]))`, text("phrase.as-is")},
	{`(?P<c>[A-Z]{2}\d{3}|EdDSA)`, text("phrase.as-is")},
	{`(?P<c>"[^"]*")`, text("phrase.as-is")},
}

// allPhrases are the phrases of checks, and those of events.
var allPhrases = slices.Concat(phrases, logPhrases)

// compilePhrases returns the patterns of all phrases, each for a whole text.
func compilePhrases() []*regexp.Regexp {
	list := make([]*regexp.Regexp, 0, len(allPhrases))
	for _, p := range allPhrases {
		list = append(list, regexp.MustCompile(`^(?:`+p.pattern+`)$`))
	}

	return list
}
