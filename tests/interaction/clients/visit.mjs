// What every TypeScript client does with a server, so that their outcomes can be compared: lists everything, then
// follows the plan. Usage of a program built on it: node PROGRAM URL ERA PLAN, where PLAN is JSON. Prints one JSON line.

import { createRequire } from 'node:module';

export const load = createRequire(new URL('../../node/package.json', import.meta.url));

async function each(items, visit) {
  const results = [];
  for (const item of items ?? []) {
    results.push(await visit(item));
  }
  return results;
}

async function follow(client, plan) {
  return {
    tools: (await client.listTools()).tools,
    resources: (await client.listResources()).resources,
    templates: (await client.listResourceTemplates()).resourceTemplates,
    prompts: (await client.listPrompts()).prompts,
    called: await each(plan.calls, (call) => client.callTool(call)),
    read: await each(plan.reads, (uri) => client.readResource({ uri })),
    got: await each(plan.prompts, (prompt) => client.getPrompt(prompt)),
    completed: await each(plan.completions, (completion) => client.complete(completion)),
  };
}

/** `connect(url, era)` gives a connected client and the revision it speaks. */
export async function main(connect) {
  const [url, era, plan] = process.argv.slice(2);
  const { client, revision } = await connect(new URL(url), era);
  const outcome = await follow(client, JSON.parse(plan));
  await client.close();
  console.log(JSON.stringify({ revision, ...outcome }));
}
