// A server on the TypeScript SDK 2.x, which speaks the modern era and the legacy one without sessions.
// Usage: node ts_server_2x.mjs. Prints `Endpoint http://...` as soon as it accepts requests.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const load = createRequire(new URL('../../node/package.json', import.meta.url));
const { McpServer, ResourceTemplate, completable, createMcpHandler } = load('@modelcontextprotocol/server');
const { toNodeHandler } = load('@modelcontextprotocol/node');
const { z } = load('zod');

function build() {
  const server = new McpServer(
    { name: 'typescript-2x', version: '1.0.0', title: 'TypeScript 2.x' },
    { instructions: 'Say what you want.' },
  );
  server.registerTool(
    'add',
    {
      title: 'Adding up',
      description: 'Adds up.',
      inputSchema: z.object({ summands: z.array(z.number()).describe('What to add') }),
      outputSchema: z.object({ total: z.number() }),
      annotations: { readOnlyHint: true },
      _meta: { 'example.com/known': { to: 'nobody' } },
    },
    ({ summands }) => {
      const total = summands.reduce((sum, each) => sum + each, 0);
      return { content: [{ type: 'text', text: `${total} 中` }], structuredContent: { total }, _meta: { 'example.com/a': 1 } };
    },
  );
  server.registerTool('fails', { description: 'Fails.' }, () => {
    throw new Error('this is what it does');
  });
  server.registerTool('points', { description: 'Points at resources, and brings one along.' }, () => ({
    content: [
      { type: 'resource_link', uri: 'memo://first', name: 'first', annotations: { audience: ['user'] } },
      { type: 'resource', resource: { uri: 'memo://held', text: 'held', mimeType: 'text/plain' } },
      { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' },
    ],
  }));
  server.registerResource('first', 'memo://first', { mimeType: 'text/markdown', description: 'The first memo.' }, (uri) => ({
    contents: [{ uri: uri.href, text: '# First', mimeType: 'text/markdown' }],
  }));
  server.registerResource(
    'memo',
    new ResourceTemplate('memo://by/{author}/{number}', {
      list: () => ({ resources: [{ uri: 'memo://by/ann/1', name: 'ann 1', size: 7 }] }),
      complete: { author: (value) => [`${value}n`, `${value}na`] },
    }),
    { description: 'Any memo.' },
    (uri, { author, number }) => ({ contents: [{ uri: uri.href, blob: Buffer.from(`${number} ${author}`).toString('base64') }] }),
  );
  server.registerPrompt(
    'ask',
    {
      title: 'Asking',
      description: 'Asks about something.',
      argsSchema: z.object({ topic: completable(z.string(), (value) => [`${value}s`, `${value}es`]) }),
    },
    ({ topic }) => ({
      messages: [
        { role: 'user', content: { type: 'text', text: `What about ${topic}?` } },
        { role: 'assistant', content: { type: 'resource', resource: { uri: 'memo://first', text: '# First' } } },
      ],
    }),
  );
  return server;
}

const http = createServer(toNodeHandler(createMcpHandler(build)));
http.listen(0, '127.0.0.1', () => console.log(`Endpoint http://127.0.0.1:${http.address().port}/mcp`));
process.on('SIGTERM', () => process.exit(0));
