// oauth4webapi signs a user in, step by step: for a client with a secret in the form, and for one without.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { logoutToken, open } from './user.mjs'

const issuer = new URL(process.env.ISSUER)
// Both documents say the same: of OpenID Connect, and of RFC 8414.
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
assert.deepEqual(as, await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' })))

const parties = [
  [{ client_id: 'oauth4webapi', id_token_signed_response_alg: 'ES256' }, oauth.ClientSecretPost('s3cret'), 'http://127.0.0.1:9/done'],
  // A program on the user's machine listens at any port (RFC 8252).
  [{ client_id: 'native', id_token_signed_response_alg: 'EdDSA' }, oauth.None(), 'http://127.0.0.1:23456/done'],
]
for (const [client, auth, redirectURI] of parties) {
  const verifier = oauth.generateRandomCodeVerifier()
  const [nonce, state] = [oauth.generateRandomNonce(), oauth.generateRandomState()]
  const to = new URL(as.authorization_endpoint)
  let parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectURI,
    response_type: 'code',
    scope: 'email offline_access openid',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    nonce,
    state,
  })
  if (client === parties[0][0]) { // pushed (RFC 9126): the browser carries a reference alone
    const pushed = await oauth.processPushedAuthorizationResponse(
      as, client, await oauth.pushedAuthorizationRequest(as, client, auth, parameters))
    parameters = new URLSearchParams({ client_id: client.client_id, request_uri: pushed.request_uri })
  }
  to.search = parameters
  const back = await open(to)
  assert.throws(() => oauth.validateAuthResponse({ ...as, issuer: 'https://evil.example' }, client, back, state), /iss/)
  const answer = oauth.validateAuthResponse(as, client, back, state)

  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirectURI, verifier)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, response)
  const { sub, sid } = oauth.getValidatedIdTokenClaims(tokens)

  const info = await oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, tokens.access_token))
  assert.equal(info.email, 'diane@example.org')
  assert.equal(info.preferred_username, undefined) // not asked for

  const refreshed = await oauth.processRefreshTokenResponse(
    as, client, await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token))
  assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
  assert.equal(oauth.getValidatedIdTokenClaims(refreshed).sid, sid)

  // Another client of the same user has no use for it.
  const [other, otherAuth] = parties.find(([one]) => one !== client)
  await assert.rejects(oauth.refreshTokenGrantRequest(as, other, otherAuth, refreshed.refresh_token)
    .then((r) => oauth.processRefreshTokenResponse(as, other, r)), { error: 'invalid_grant' })

  // By the post: the user is asked, since the link has no ID token.
  const bye = new URL(as.end_session_endpoint)
  bye.search = new URLSearchParams({ client_id: client.client_id, post_logout_redirect_uri: 'http://127.0.0.1:9/bye' })
  assert.equal((await open(bye)).href, 'http://127.0.0.1:9/bye')
  assert.equal(JSON.parse(atob((await logoutToken(client.client_id)).split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))).sid, sid)

  // offline_access outlives the session.
  const late = await oauth.processRefreshTokenResponse(
    as, client, await oauth.refreshTokenGrantRequest(as, client, auth, refreshed.refresh_token))
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, late.refresh_token))
  await assert.rejects(oauth.refreshTokenGrantRequest(as, client, auth, late.refresh_token)
    .then((r) => oauth.processRefreshTokenResponse(as, client, r)), { error: 'invalid_grant' })
}

// A device without a browser.
const [client, auth] = parties[0]
const begun = await oauth.processDeviceAuthorizationResponse(
  as, client, await oauth.deviceAuthorizationRequest(as, client, auth, { scope: 'openid' }))
await open(begun.verification_uri_complete)
const response = await oauth.deviceCodeGrantRequest(as, client, auth, begun.device_code)
const tokens = await oauth.processDeviceCodeResponse(as, client, response)
await oauth.validateApplicationLevelSignature(as, response)
assert.ok(oauth.getValidatedIdTokenClaims(tokens).sub)
console.log('done')
