// The TypeScript clients with their own OAuth. Usage: node ts_oauth.mjs SDK URL REDIRECT KNOWN, where SDK is 1.x or 2.x
// and KNOWN is how the client is known to the server: {document, id, secret}, each or none. One JSON line per message:
//   out {authorize: url}   a person is needed; in {arrived: url}   where the browser was sent in the end
//   out {tokens: {...}}    whenever it is given new ones; out {client: {...}} when it is registered
//   out {connected: revision}
//   in {call: {...}}       out {answer: text}

import { createInterface } from 'node:readline';

import { load } from './visit.mjs';

const PACKAGES = {
  '2.x': () => load('@modelcontextprotocol/client'),
  '1.x': () => ({
    ...load('@modelcontextprotocol/sdk/client/index.js'),
    ...load('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    ...load('@modelcontextprotocol/sdk/client/auth.js'),
  }),
};

const [sdk, url, redirect, known] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = PACKAGES[sdk]();
const { document, id, secret } = JSON.parse(known);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (what) => console.log(JSON.stringify(what));
const hear = async () => {
  const { value, done } = await lines.next();
  return done ? process.exit(0) : JSON.parse(value);
};

const method = secret ? 'client_secret_basic' : 'none';
const kept = id ? { client: { client_id: id, client_secret: secret ?? undefined } } : {};
const provider = {
  redirectUrl: redirect,
  clientMetadataUrl: document ?? undefined,
  clientMetadata: {
    client_name: `typescript ${sdk}`,
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: method,
  },
  state: () => (kept.state = crypto.randomUUID()),
  clientInformation: () => kept.client,
  saveClientInformation: (given) => {
    kept.client = given;
    say({ client: given });
  },
  tokens: () => kept.tokens,
  saveTokens: (given) => {
    kept.tokens = given;
    say({ tokens: given });
  },
  redirectToAuthorization: (there) => { kept.authorize = String(there); },
  saveCodeVerifier: (given) => { kept.verifier = given; },
  codeVerifier: () => kept.verifier,
  invalidateCredentials: (what) => {
    if (what === 'all' || what === 'tokens') delete kept.tokens;
    if (what === 'all' || what === 'client') delete kept.client;
  },
};

/** Sends a person to the browser, and redeems what comes back. */
async function authorized(transport) {
  say({ authorize: kept.authorize });
  const answer = new URL((await hear()).arrived).searchParams;
  if (answer.get('state') !== kept.state) throw new Error('another state came back');
  await transport.finishAuth(sdk === '1.x' ? answer.get('code') : answer);
}

let client;
let transport;

async function connect() {
  client = new Client({ name: `ts-oauth-${sdk}`, version: '1' }, { versionNegotiation: { mode: 'auto' } });
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await client.connect(transport);
}

/** Does it; when a person is needed, asks them and does it once more on a new connection. */
async function withConsent(act, again) {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await authorized(transport);
    return await again();
  }
}

const call = async (what) => (await client.callTool(what)).content[0].text;

await withConsent(connect, connect);
say({ connected: transport.protocolVersion ?? client.getNegotiatedProtocolVersion() });
while (true) {
  const told = await hear();
  say({ answer: await withConsent(() => call(told.call), async () => (await connect(), call(told.call))) });
}
