// openid-client signs a user in, with a secret in Basic and ID tokens of RS256.
import assert from 'node:assert/strict'
import * as jose from 'jose'
import * as client from 'openid-client'
import { logoutToken, open } from './user.mjs'

const config = await client.discovery(new URL(process.env.ISSUER), 'openid-client', undefined, client.ClientSecretBasic('s3cret'), {
  timeout: 300, // seconds: the machine may be busy
})
client.enableNonRepudiationChecks(config) // checks the signature of ID tokens, too
const metadata = config.serverMetadata()

// signIn sends the user to the provider, and returns the address with the code and what it must fit.
const signIn = async (more) => {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const checks = {
    pkceCodeVerifier, expectedNonce: client.randomNonce(), expectedState: client.randomState(), maxAge: 600, idTokenExpected: true,
  }
  const back = await open(client.buildAuthorizationUrl(config, {
    redirect_uri: 'http://127.0.0.1:9/done',
    scope: 'openid profile email groups offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    nonce: checks.expectedNonce,
    state: checks.expectedState,
    max_age: '600',
    ...more,
  }))
  return [back, checks]
}

const [back, checks] = await signIn({})
// Mix-up: what another issuer answers is not redeemed here (RFC 9207).
for (const iss of ['https://evil.example', undefined]) {
  const mixed = new URL(back)
  if (iss) mixed.searchParams.set('iss', iss)
  else mixed.searchParams.delete('iss')
  await assert.rejects(client.authorizationCodeGrant(config, mixed, checks), (e) => /"iss"/.test(e.cause.message))
}

const tokens = await client.authorizationCodeGrant(config, back, checks)
const { sub, sid, auth_time: proved } = tokens.claims()
const info = await client.fetchUserInfo(config, tokens.access_token, sub)
assert.equal(info.preferred_username, 'diane')
assert.equal(info.email_verified, true)
assert.deepEqual(info.groups, ['sales', 'staff'])

const next = await client.refreshTokenGrant(config, tokens.refresh_token)
assert.notEqual(next.refresh_token, tokens.refresh_token)
assert.equal(next.claims().sub, sub)
assert.equal(next.claims().auth_time, proved)
assert.equal((await client.fetchUserInfo(config, next.access_token, sub)).sub, sub)

// A code that is used twice ends all that came of it.
await assert.rejects(client.authorizationCodeGrant(config, back, checks), { error: 'invalid_grant' })
await assert.rejects(client.refreshTokenGrant(config, next.refresh_token), { error: 'invalid_grant' })

// The user is signed in already.
const silent = await client.authorizationCodeGrant(config, ...(await signIn({ prompt: 'none', id_token_hint: tokens.id_token })))
assert.equal(silent.claims().auth_time, proved)
await client.tokenRevocation(config, silent.refresh_token)
await assert.rejects(client.fetchUserInfo(config, silent.access_token, sub), /401|challenge/)

const last = await client.authorizationCodeGrant(config, ...(await signIn({ prompt: 'login', scope: 'openid' })))
assert.ok(last.claims().auth_time >= proved)
const bye = await open(client.buildEndSessionUrl(config, {
  post_logout_redirect_uri: 'http://127.0.0.1:9/bye', id_token_hint: last.id_token, state: 's 1',
}))
assert.equal(bye.href, 'http://127.0.0.1:9/bye?state=s+1')

// A token comes for each session: also for the first one, which the second sign-in has replaced. jose checks them:
// openid-client does not receive them.
const keys = jose.createRemoteJWKSet(new URL(metadata.jwks_uri))
for (const ended = new Set(); !ended.has(sid) || !ended.has(last.claims().sid);) {
  const { payload } = await jose.jwtVerify(await logoutToken('openid-client'), keys, {
    issuer: metadata.issuer,
    audience: 'openid-client',
    subject: sub,
    typ: 'logout+jwt',
    algorithms: ['RS256'],
    requiredClaims: ['iat', 'exp', 'jti', 'sid'],
  })
  assert.ok(payload.events['http://schemas.openid.net/event/backchannel-logout'])
  assert.equal(payload.nonce, undefined)
  ended.add(payload.sid)
}

// Without offline_access, tokens end with the session.
await assert.rejects(client.fetchUserInfo(config, last.access_token, sub), /401|challenge/)
await assert.rejects(client.authorizationCodeGrant(config, ...(await signIn({ prompt: 'none' }))), { error: 'login_required' })
console.log('done')
