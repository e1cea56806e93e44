// The TypeScript SDK 1.x over HTTP+SSE. Usage: node ts_sse_1x.mjs URL NAMESPACE. Prints one JSON line: what a client
// met that lists, calls a tool that asks, one that tells how far it is, hears of a change, and cancels.

import { load } from './visit.mjs';

const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { SSEClientTransport } = load('@modelcontextprotocol/sdk/client/sse.js');
const types = load('@modelcontextprotocol/sdk/types.js');

const [url, namespace] = process.argv.slice(2);
const capabilities = { elicitation: {}, sampling: {}, roots: {} };
const client = new Client({ name: 'ts-sse-1x', version: '1' }, { capabilities });
const changed = new Promise((heard) => {
  client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => heard('heard'));
});
client.setRequestHandler(types.ElicitRequestSchema, () => ({
  action: 'accept',
  content: { username: 'ada', email: 'ada@example.com' },
}));
client.setRequestHandler(types.CreateMessageRequestSchema, () => ({
  role: 'assistant',
  model: 'm',
  content: { type: 'text', text: 'sampled' },
}));
await client.connect(new SSEClientTransport(new URL(url)));
const call = async (name, args, options) =>
  (await client.callTool({ name: namespace + name, arguments: args }, undefined, options)).content[0].text;
const progress = [];
const outcome = {
  tools: (await client.listTools()).tools.map((tool) => tool.name),
  elicited: await call('test_elicitation', { message: 'who?' }),
  sampled: await call('test_sampling', { prompt: 'say' }),
  worked: await call('test_tool_with_progress', {}, { onprogress: (each) => progress.push(each.progress) }),
  progress,
};
await call('test_trigger_tool_change', {});
outcome.changed = await changed;
await client.ping();
await client.close();
console.log(JSON.stringify(outcome));
process.exit(0);
