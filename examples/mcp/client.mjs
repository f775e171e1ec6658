// An MCP client that is given the address of a server alone. Its client_id at the issuer is a name that the operator has
// registered, or the address of a document that describes it. It prints where the user has to sign in, and then calls a
// tool until the token is spent.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const service = new URL(process.argv[2] ?? 'https://localhost:8444/mcp')
const document = process.argv[3] // its client_id, in place of the name

// The browser comes back to a free port of this machine. Any page can load that address: the state is the proof that
// this program has sent the browser, and iss that the answer is of the issuer that it was sent to (RFC 9207).
const state = randomBytes(32).toString('base64url')
let arrive
const arrived = new Promise((resolve) => { arrive = resolve })
const callback = createServer((request, response) => {
  const answer = new URL(request.url, 'http://127.0.0.1')
  if (answer.pathname !== '/callback' || answer.searchParams.get('state') !== state) {
    response.writeHead(404).end()
    return
  }
  response.end('Go back to the terminal.')
  arrive(answer.searchParams)
})
await new Promise((resolve) => callback.listen(0, '127.0.0.1', resolve))

// What the SDK asks for, and what it has to keep: here, as long as the program runs.
const kept = { client: document ? undefined : { client_id: 'agent' } }
const provider = {
  redirectUrl: `http://127.0.0.1:${callback.address().port}/callback`,
  clientMetadata: { redirect_uris: ['http://127.0.0.1/callback'] },
  clientMetadataUrl: document,
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client },
  state: () => state,
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier },
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (discovery) => { kept.discovery = discovery },
  redirectToAuthorization: (url) => console.log(`open ${url}`),
}

// connect starts a client. Without a token, the SDK finds the issuer and sends the user there.
const connect = async () => {
  const transport = new StreamableHTTPClientTransport(service, { authProvider: provider })
  const client = new Client({ name: 'agent', version: '1.0.0' })
  try {
    await client.connect(transport)
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || kept.tokens) throw error
    const answer = await arrived
    if (answer.get('iss') !== kept.discovery.authorizationServerMetadata.issuer) throw new Error('answer of another issuer')
    if (!answer.has('code')) throw new Error(`the sign-in failed: ${answer.get('error')}`)
    await transport.finishAuth(answer.get('code'))
    return connect()
  }
  return client
}

const client = await connect()
for (let calls = 1; calls <= 20; calls++) {
  try {
    const { content } = await client.callTool({ name: 'note' })
    console.log(`${calls}: ${content[0].text}`)
  } catch (error) {
    if (error.code !== 403 || !error.message.includes('"code":"spent"')) throw error
    console.log('the token is spent')
    break
  }
}
callback.close()
callback.closeAllConnections()
