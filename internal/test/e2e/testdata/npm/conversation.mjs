// Software that proves itself with keys, as jose, oauth4webapi and openid-client do it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'

const { ISSUER, URL: SERVICE, KEYS } = process.env
const issuer = new URL(ISSUER)
const pem = (name) => readFileSync(`${KEYS}/${name}.key`, 'ascii')
const who = async (token) => (await fetch(`${SERVICE}/who`, { headers: { authorization: `Bearer ${token}` } })).status

// oauth4webapi: discovery, and each step by hand.
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' }))
assert.equal(as.issuer, ISSUER)
assert.ok(as.token_endpoint_auth_methods_supported.includes('private_key_jwt'))
const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri))
for (const [name, key, alg] of [['rsa', 'rsa', 'RS256'], ['ec', 'ec', 'ES256'], ['ed', 'ed25519', 'Ed25519']]) {
  const me = { client_id: name }

  const auth = oauth.PrivateKeyJwt(await jose.importPKCS8(pem(key), alg))
  for (const [service, ours] of [['reports', 'EdDSA'], ['ledger', 'ES256'], ['archive', 'RS256']]) {
    const answer = await oauth.clientCredentialsGrantRequest(as, me, auth, { audience: service })
    const got = await oauth.processClientCredentialsResponse(as, me, answer)
    assert.equal(got.token_type, 'bearer')
    const { payload, protectedHeader } = await jose.jwtVerify(got.access_token, keys, {
      issuer: ISSUER, audience: service, subject: name, typ: 'at+jwt', algorithms: [ours], requiredClaims: ['iat', 'exp', 'jti', 'client_id'],
    })
    assert.equal(protectedHeader.alg, ours)
    assert.equal(payload.client_id, name)
    assert.equal(await who(got.access_token), service === 'reports' ? 200 : 401)

    const request = new Request(`${SERVICE}/who`, { headers: { authorization: `Bearer ${got.access_token}` } })
    const validated = oauth.validateJwtAccessToken(as, request, service)
    assert.equal((await validated).sub, name) // RFC 9068, as a service checks it by itself
  }
}

// Introspection and revocation by a client that may look tokens up.
{
  const me = { client_id: 'ec' }
  const auth = oauth.PrivateKeyJwt(await jose.importPKCS8(pem('ec'), 'ES256'))
  for (const service of ['reports', 'vault']) {
    const got = await oauth.processClientCredentialsResponse(as, me, await oauth.clientCredentialsGrantRequest(as, me, auth, { audience: service }))
    const look = async () => oauth.processIntrospectionResponse(as, me, await oauth.introspectionRequest(as, me, auth, got.access_token))
    const before = await look()
    assert.equal(before.active, true)
    assert.equal(before.sub, 'ec')
    assert.deepEqual([before.aud].flat(), [service])
    assert.deepEqual(await look(), before) // looking costs nothing
    if (service === 'vault') assert.equal(before.uses_remaining, 2)
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, me, auth, got.access_token))
    assert.deepEqual(await look(), { active: false })
    if (service === 'reports') assert.equal(await who(got.access_token), 401)
  }
}

// What is refused is refused in the words of the standard.
{
  const me = { client_id: 'ec' }
  const stranger = await jose.generateKeyPair('ES256')
  const answer = await oauth.clientCredentialsGrantRequest(as, me, oauth.PrivateKeyJwt(stranger.privateKey), { audience: 'reports' })
  await assert.rejects(oauth.processClientCredentialsResponse(as, me, answer), (e) => {
    assert.equal(e.status, 401)
    assert.equal(e.error, 'invalid_client')
    return true
  })
}

// openid-client: the same in few lines. The first way in is a key, the second a secret.
for (const [name, auth] of [
  ['ec', client.PrivateKeyJwt(await jose.importPKCS8(pem('ec'), 'ES256'))],
  ['secretive', client.ClientSecretBasic(process.env.SECRET)],
  ['secretive', client.ClientSecretPost(process.env.SECRET)],
]) {
  const config = await client.discovery(issuer, name, undefined, auth, { algorithm: 'oauth2' })
  const got = await client.clientCredentialsGrant(config, { audience: 'reports' })
  assert.ok(got.expiresIn() > 0)
  assert.equal(await who(got.access_token), 200)
  const seen = await client.tokenIntrospection(config, got.access_token)
  assert.equal(seen.active, true)
  assert.equal(seen.client_id, name)
  await client.tokenRevocation(config, got.access_token)
  assert.equal((await client.tokenIntrospection(config, got.access_token)).active, false)
  assert.equal(await who(got.access_token), 401)
}

// The keys are public, every one of them, and a JWT of another maker does not verify by them.
const set = await (await fetch(as.jwks_uri)).json()
assert.ok(set.keys.length >= 3)
for (const key of set.keys) {
  for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth']) assert.equal(key[secret], undefined)
  assert.equal(key.use, 'sig')
  assert.equal(key.kid, await jose.calculateJwkThumbprint(key))
}
const forged = await new jose.SignJWT({}).setProtectedHeader({ alg: 'EdDSA', kid: set.keys[0].kid }).sign((await jose.generateKeyPair('EdDSA')).privateKey)
await assert.rejects(jose.jwtVerify(forged, keys))
console.log('done')
