package web

// The headers that give an upstream the identity of the caller.
const (
	HeaderUser   = "Remote-User"
	HeaderGroups = "Remote-Groups" // separated by commas
	HeaderName   = "Remote-Name"   // first and last name
	HeaderEmail  = "Remote-Email"

	// HeaderCookie has the cookies of a request without those of Jeton, for a proxy that passes it on.
	HeaderCookie = "Jeton-Cookie"

	// HeaderAssertion has a JWT that says whose request it is, and that it was admitted. Package token has its content.
	HeaderAssertion = "Jeton-Assertion"
)

// IdentityHeaders are all of the headers that a proxy takes from a decision. Each is in every answer to it, empty where
// nothing is known: a proxy could otherwise leave what the client sent.
var IdentityHeaders = [...]string{
	HeaderUser, HeaderGroups, HeaderName, HeaderEmail, HeaderCookie, HeaderAssertion,
}
