// A server on the TypeScript SDK 1.x whose tools ask and log by the server itself, without saying for which call.
// Usage: node ts_beside_1x.mjs [json]. Prints `Endpoint http://...` as soon as it accepts requests. With `json` it
// answers calls without a stream of their own.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

const load = createRequire(new URL('../../node/package.json', import.meta.url));
const { McpServer } = load('@modelcontextprotocol/sdk/server/mcp.js');
const { StreamableHTTPServerTransport } = load('@modelcontextprotocol/sdk/server/streamableHttp.js');
const { createMcpExpressApp } = load('@modelcontextprotocol/sdk/server/express.js');
const { z } = load('zod');

const enableJsonResponse = process.argv.includes('json');
const text = (said) => ({ content: [{ type: 'text', text: said }] });

function build() {
  const mcp = new McpServer({ name: 'typescript-1x', version: '1.0.0' }, { capabilities: { logging: {} } });
  const { server } = mcp;
  mcp.registerTool('elicits', { inputSchema: { text: z.string() } }, async ({ text: said }) => {
    const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
    const answer = await server.elicitInput({ message: `Who, ${said}?`, requestedSchema });
    return text(answer.content.name);
  });
  mcp.registerTool('samples', { inputSchema: { text: z.string() } }, async ({ text: said }) => {
    const messages = [{ role: 'user', content: { type: 'text', text: `Say it, ${said}` } }];
    const answer = await server.createMessage({ messages, maxTokens: 10 });
    return text(answer.model);
  });
  mcp.registerTool('roots', { inputSchema: { text: z.string() } }, async () => {
    const { roots } = await server.listRoots();
    return text(roots[0].name);
  });
  mcp.registerTool('logs', { inputSchema: { text: z.string() } }, async ({ text: said }) => {
    await server.sendLoggingMessage({ level: 'error', data: said });
    const { roots } = await server.listRoots(); // on the same stream, so the client has heard when it is answered
    return text(roots[0].name);
  });
  return mcp;
}

const sessions = new Map();
const app = createMcpExpressApp();
app.all('/mcp', async (request, response) => {
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known) return known.handleRequest(request, response, request.body);
  const transport = new StreamableHTTPServerTransport({
    enableJsonResponse,
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => sessions.set(id, transport),
  });
  await build().connect(transport);
  return transport.handleRequest(request, response, request.body);
});
const http = app.listen(0, '127.0.0.1', () => console.log(`Endpoint http://127.0.0.1:${http.address().port}/mcp`));
process.on('SIGTERM', () => process.exit(0));
