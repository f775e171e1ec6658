// The SDK of the Model Context Protocol signs a user in, refreshes its tokens, and has the user signed out.
import assert from 'node:assert/strict'
import {
  discoverAuthorizationServerMetadata, exchangeAuthorization, refreshAuthorization, startAuthorization,
} from '@modelcontextprotocol/sdk/client/auth.js'
import { logoutToken, open } from './user.mjs'

const issuer = process.env.ISSUER
const metadata = await discoverAuthorizationServerMetadata(issuer)
const client = { metadata, clientInformation: { client_id: 'mcp' } }
const redirectUrl = 'http://127.0.0.1:9/done'

// The SDK adds prompt=consent to offline_access.
const { authorizationUrl, codeVerifier } = await startAuthorization(issuer, {
  ...client, redirectUrl, scope: 'openid offline_access', state: 's1',
})
const back = await open(authorizationUrl)
assert.equal(back.searchParams.get('iss'), metadata.issuer)
assert.equal(back.searchParams.get('state'), 's1')

const tokens = await exchangeAuthorization(issuer, {
  ...client, authorizationCode: back.searchParams.get('code'), codeVerifier, redirectUri: redirectUrl,
})
const next = await refreshAuthorization(issuer, { ...client, refreshToken: tokens.refresh_token })
assert.notEqual(next.refresh_token, tokens.refresh_token)
assert.notEqual(next.access_token, tokens.access_token)
await assert.rejects(refreshAuthorization(issuer, { ...client, refreshToken: 'x' }), /refused|invalid/i)

const bye = new URL(metadata.end_session_endpoint)
bye.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: 'http://127.0.0.1:9/bye' })
assert.equal((await open(bye)).href, 'http://127.0.0.1:9/bye')
assert.ok(await logoutToken('mcp'))
console.log('done')
