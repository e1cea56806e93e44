// The TypeScript SDK 1.x as a client that stays: connects once, subscribes once, then calls a tool for each line of
// standard input. Usage: node ts_resident_1x.mjs URL TOOL RESOURCE. Prints one JSON line for all that it meets.

import { createInterface } from 'node:readline';

import { load } from './visit.mjs';

const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = load('@modelcontextprotocol/sdk/client/streamableHttp.js');
const types = load('@modelcontextprotocol/sdk/types.js');

const [url, tool, resource] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const client = new Client({ name: 'ts-resident', version: '1' });
client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, ({ params }) => say({ updated: params.uri }));
client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => say({ changed: 'tools' }));
client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => say({ logged: params.data }));
const transport = new StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
await client.subscribeResource({ uri: resource });
say({ session: transport.sessionId });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { content } = await client.callTool({ name: tool, arguments: { said: line } });
    say({ answer: content[0].text });
  } catch (error) {
    say({ error: String(error) });
  }
}
process.exit(0);
