// The TypeScript SDK 1.x, which speaks the legacy era only.

import { load, main } from './visit.mjs';

const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = load('@modelcontextprotocol/sdk/client/streamableHttp.js');

await main(async (url) => {
  const client = new Client({ name: 'ts-sdk-1x', version: '1' });
  const transport = new StreamableHTTPClientTransport(url);
  await client.connect(transport);
  return { client, revision: transport.protocolVersion };
});
