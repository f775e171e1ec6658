// An MCP client that 'jeton run --proxy' starts. It has no token: the address in JETON_URL adds it to each request, until
// its uses are spent or the client ends.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const client = new Client({ name: 'agent', version: '1.0.0' })
await client.connect(new StreamableHTTPClientTransport(new URL(`${process.env.JETON_URL}/mcp`)))

try {
  for (let calls = 1; ; calls++) {
    const { content } = await client.callTool({ name: 'note' })
    console.log(`${calls}: ${content[0].text}`)
  }
} catch (error) {
  if (error.code !== 403 || !error.message.includes('"code":"spent"')) throw error
  console.log('the token is spent')
}
