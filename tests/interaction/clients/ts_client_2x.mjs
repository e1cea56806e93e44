// The TypeScript client 2.x, which speaks both eras: `auto` finds out, `legacy` does not ask.

import { load, main } from './visit.mjs';

const { Client, StreamableHTTPClientTransport } = load('@modelcontextprotocol/client');

await main(async (url, era) => {
  const client = new Client({ name: 'ts-client-2x', version: '1' }, { versionNegotiation: { mode: era } });
  await client.connect(new StreamableHTTPClientTransport(url));
  return { client, revision: client.getNegotiatedProtocolVersion() };
});
