// oidc-provider as another provider, and an API that accepts its tokens: both with TLS, on ports of their own.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import Provider from 'oidc-provider'

const tls = { cert: readFileSync(process.env.CERT), key: readFileSync(process.env.KEY) }
// listen starts a server, and returns it and its address.
const listen = async () => {
  const server = createServer(tls)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return [server, `https://127.0.0.1:${server.address().port}`]
}
const [server, issuer] = await listen()
const [service, api] = await listen()

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'jeton',
    client_secret: 's3cret',
    redirect_uris: [`${process.env.JETON}/sign-in/with/company/callback`],
  }, {
    client_id: 'cli',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1/'],
  }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'name'], email: ['email', 'email_verified'], groups: ['groups'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id, preferred_username: id, name: 'Diane', email: `${id}@example.org`, email_verified: true, groups: ['staff', 'other'],
    }),
  }),
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  cookies: { keys: ['a key of the test'] },
  features: {
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({ audience: resource, scope: '', accessTokenFormat: 'opaque' }),
    },
  },
})
server.on('request', provider.callback())

service.on('request', async (request, response) => {
  if (request.url === '/.well-known/oauth-protected-resource/notes') {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ resource: `${api}/notes`, authorization_servers: [issuer] }))
    return
  }
  const token = await provider.AccessToken.find(request.headers.authorization?.replace('Bearer ', '') ?? '-')
  if (request.url.startsWith('/notes') && token?.aud === `${api}/notes`) {
    response.end(`${token.accountId} ${token.jti}`)
    return
  }
  response.setHeader('WWW-Authenticate', `Bearer resource_metadata="${api}/.well-known/oauth-protected-resource/notes"`)
  response.writeHead(401).end()
})

// Once each, so that all is loaded: Jeton waits five seconds for a provider, and the machine may be busy.
for (const path of ['/.well-known/openid-configuration', '/jwks', '/auth?client_id=none']) await (await fetch(issuer + path)).text()
await fetch(`${issuer}/token`, {
  method: 'POST', body: new URLSearchParams({ grant_type: 'authorization_code', code: 'none', client_id: 'cli' }),
})

console.log(issuer)
console.log(api)
process.stdin.on('end', () => process.exit()).resume()
