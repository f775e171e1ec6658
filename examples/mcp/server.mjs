// An MCP server with one tool. It knows nothing of tokens: Jeton is in front of it, and says who calls.
import { createServer } from 'node:http'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'

const http = createServer(async (request, response) => {
  // No session: a server for each request, so that several processes can serve.
  const server = new McpServer({ name: 'notes', version: '1.0.0' })
  server.registerTool('note', { description: 'Returns the note of the user' }, async () => ({
    content: [{ type: 'text', text: `a note for ${request.headers['remote-user']}` }],
  }))
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
  response.on('close', () => server.close())
  await server.connect(transport)
  await transport.handleRequest(request, response)
})

// Only this machine: whoever reaches this port can name any user.
http.listen(Number(process.env.MCP_PORT ?? 9000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${http.address().port}/mcp`)
})
