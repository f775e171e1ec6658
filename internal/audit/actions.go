package audit

// The actions of events.
const (
	Login           = "login"
	Logout          = "logout"
	LogoutAll       = "logout.all"
	ConsentGive     = "consent.give"
	ConsentEnd      = "consent.end"
	DeviceBegin     = "device.begin"
	DeviceAllow     = "device.allow"
	DeviceDeny      = "device.deny"
	RequestPush     = "request.push"
	LogoutSend      = "logout.send"
	MailSend        = "mail.send"
	Request         = "request"
	SessionEnd      = "session.end"
	SessionProve    = "session.prove"
	LoginAllowed    = "login.allowed"
	UserAdd         = "user.add"
	UserChange      = "user.change"
	UserPassword    = "user.password"
	UserRemove      = "user.remove"
	UserEndTokens   = "user.end-tokens"
	UserExport      = "user.export"
	UserLink        = "user.link"
	UserRecover     = "user.recover"
	UserNotMe       = "user.not-me"
	UserVerify      = "user.verify"
	InvitationAdd   = "invitation.add"
	InvitationEnd   = "invitation.end"
	InvitationUse   = "invitation.use"
	IdentityAdd     = "user.connect"
	IdentityRemove  = "user.disconnect"
	FactorAdd       = "factor.add"
	FactorChange    = "factor.change"
	FactorCodes     = "factor.codes"
	FactorUse       = "factor.use"
	FactorRemove    = "factor.remove"
	FactorReset     = "factor.reset"
	ClientAdd       = "client.add"
	ClientChange    = "client.change"
	ClientDocument  = "client.document"
	ClientSecret    = "client.secret"
	ClientEndTokens = "client.end-tokens"
	ClientRemove    = "client.remove"
	ClientKeyAdd    = "client.key.add"
	ClientKeyRetire = "client.key.retire"
	KeyMake         = "key.make"
	KeyRotate       = "key.rotate"
	KeyRevoke       = "key.revoke"
	TokenIssue      = "token.issue"
	TokenExchange   = "token.exchange"
	TokenCreate     = "token.create"
	TokenRotate     = "token.rotate"
	TokenInspect    = "token.inspect"
	TokenRevoke     = "token.revoke"
	TokenRequest    = "token.request"
	TokenApprove    = "token.approve"
	TokenDeny       = "token.deny"
	Backup          = "backup"
	Restore         = "restore"
	Epoch           = "epoch"
	Missing         = "audit.missing"
	Start           = "server.start"
	Reload          = "server.reload"
)

// Actions are all actions.
var Actions = []string{
	Login,
	Logout,
	LogoutAll,
	ConsentGive,
	ConsentEnd,
	DeviceBegin,
	DeviceAllow,
	DeviceDeny,
	RequestPush,
	LogoutSend,
	MailSend,
	Request,
	SessionEnd,
	SessionProve,
	LoginAllowed,
	UserAdd,
	UserChange,
	UserPassword,
	UserRemove,
	UserEndTokens,
	UserExport,
	UserLink,
	UserRecover,
	UserNotMe,
	UserVerify,
	InvitationAdd,
	InvitationEnd,
	InvitationUse,
	IdentityAdd,
	IdentityRemove,
	FactorAdd,
	FactorChange,
	FactorCodes,
	FactorUse,
	FactorRemove,
	FactorReset,
	ClientAdd,
	ClientChange,
	ClientDocument,
	ClientSecret,
	ClientEndTokens,
	ClientRemove,
	ClientKeyAdd,
	ClientKeyRetire,
	KeyMake,
	KeyRotate,
	KeyRevoke,
	TokenIssue,
	TokenExchange,
	TokenCreate,
	TokenRotate,
	TokenInspect,
	TokenRevoke,
	TokenRequest,
	TokenApprove,
	TokenDeny,
	Backup,
	Restore,
	Epoch,
	Missing,
	Start,
	Reload,
}
