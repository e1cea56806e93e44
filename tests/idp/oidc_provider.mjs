// An identity provider made of npm `oidc-provider`: its accounts are given as JSON in the first argument, its clients
// come by the side door. Prints `Endpoint <issuer>`. The side door is what tests turn, and no part of the provider:
//   POST /side-door/clients   {client_id, client_secret, redirect_uris}   a client it knows from now on
//   POST /side-door/accounts  {email, disabled}                           signs in no longer, or again
//   POST /side-door/keys                                                  signs with a new key; the old one is gone
//   POST /side-door/claims    {in_id_token}                               or only at the userinfo endpoint, its default
//   POST /side-door/lifetime  {seconds}                                   of access tokens from now on
//   POST /side-door/seen                                                  what it was sent, and its tokens

import { generateKeyPair, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const from = createRequire(new URL('../node/package.json', import.meta.url));
const { Provider } = await import(pathToFileURL(from.resolve('oidc-provider')));

// It is an authorization server for MCP endpoints as well: clients register themselves, and get JWTs for the resource.
const SCOPE = 'mcp';
const getResourceServerInfo = (_context, resource) => ({
  scope: SCOPE,
  audience: resource,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: 'ES256' } },
});

const accounts = new Map(JSON.parse(process.argv[2]).map((account) => [account.email, account]));
const bySubject = (sub) => [...accounts.values()].find((account) => account.sub === sub);
const cookieKey = randomBytes(32).toString('hex');
const clients = [];
const seen = [];
let inIdToken = true;
let lifetime = 600;
let serve;

// What the provider remembers; it outlives the provider itself, which is built anew with every new key.
const kept = new Map();

class Memory {
  constructor(model) { this.model = model; }
  find = async (id) => kept.get(`${this.model}:${id}`);
  findByUid = async (uid) => [...kept.values()].find((each) => each.kind === this.model && each.uid === uid);
  upsert = async (id, payload) => { kept.set(`${this.model}:${id}`, payload); };
  consume = async (id) => { kept.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000); };
  destroy = async (id) => { kept.delete(`${this.model}:${id}`); };
  revokeByGrantId = async (grantId) => {
    for (const [key, each] of kept) if (each.grantId === grantId) kept.delete(key);
  };
}

async function newKeys() {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] };
}

async function findAccount(_context, sub) {
  const account = bySubject(sub);
  if (!account || account.disabled) return undefined;
  const { name, email, groups } = account;
  return { accountId: sub, claims: () => ({ sub, name, email, email_verified: true, groups }) };
}

// The hub is a client of the house: nobody is asked whether it may know who they are.
async function loadExistingGrant({ oidc }) {
  const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
  grant.addOIDCScope(`openid profile email ${SCOPE}`);
  for (const resource of [oidc.params.resource ?? []].flat()) grant.addResourceScope(resource, SCOPE);
  await grant.save();
  return grant;
}

/** A provider of this issuer, built anew whenever its keys, clients or claims change. */
function provider(issuer, jwks) {
  const made = new Provider(issuer, {
    adapter: Memory,
    clients,
    jwks,
    findAccount,
    loadExistingGrant,
    cookies: { keys: [cookieKey] },
    conformIdTokenClaims: !inIdToken,
    claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email', 'email_verified'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256', 'RS256'] },
    scopes: ['openid', SCOPE],
    extraTokenClaims: (_context, { accountId }) => ({ groups: bySubject(accountId)?.groups }),
    issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,  // each is good once; one that comes again ends all that came of its grant
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo, useGrantedResource: () => true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: false },
    },
    interactions: { url: (_context, { uid }) => `/sign-in/${uid}` },
    ttl: { AccessToken: lifetime, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
  });
  made.use(async (context, next) => {
    await next();
    const { oidc, body: given } = context;
    const route = oidc?.route;
    const entry = { route, client: oidc?.client?.clientId, sent: { ...oidc?.params } };
    if (route === 'token') seen.push({ ...entry, given });
    if (route === 'authorization') seen.push({ ...entry, given: null });
  });
  made.on('server_error', (_context, error) => console.error(error));
  return made;
}

const escaped = (text) => text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
const page = (action, said) => `<!doctype html><title>Sign in</title><h1>The identity provider</h1><p>${escaped(said)}
<form method="post" action="${action}"><label>Email <input type="email" name="email"></label>
<label>Password <input type="password" name="password"></label><button>Sign in</button></form>`;

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

function show(response, status, type, text) {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text);
}

async function signIn(made, request, response) {
  const { prompt } = await made.interactionDetails(request, response);
  if (prompt.name === 'consent') {  // asked for with every native client; here nobody is
    return made.interactionFinished(request, response, { consent: {} }, { mergeWithLastSubmission: true });
  }
  if (request.method === 'GET') return show(response, 200, 'text/html', page(request.url, ''));
  const told = new URLSearchParams(await body(request));
  const account = accounts.get(told.get('email'));
  if (!account || account.disabled || account.password !== told.get('password')) {
    return show(response, 200, 'text/html', page(request.url, 'These do not belong to an account.'));
  }
  return made.interactionFinished(request, response, { login: { accountId: account.sub } });
}

const doors = {
  clients: (told) => {
    const known = clients.findIndex((client) => client.client_id === told.client_id);
    if (known >= 0) clients.splice(known, 1);
    clients.push(told);
  },
  accounts: ({ email, disabled }) => Object.assign(accounts.get(email), { disabled }),
  keys: async () => { keys = await newKeys(); },
  claims: ({ in_id_token: chosen }) => { inIdToken = chosen; },
  lifetime: ({ seconds }) => { lifetime = seconds; },
  seen: () => seen,
};

async function sideDoor(name, request, response) {
  const found = await doors[name](JSON.parse((await body(request)) || '{}'));
  current = provider(issuer, keys);
  serve = current.callback();
  show(response, 200, 'application/json', JSON.stringify(found ?? {}));
}

let keys = await newKeys();
let current;
const server = createServer((request, response) => {
  const [, first, second] = request.url.split(/[/?]/);
  const done =
    first === 'side-door' ? sideDoor(second, request, response)
    : first === 'sign-in' ? signIn(current, request, response)
    : serve(request, response);
  Promise.resolve(done).catch((error) => {
    console.error(error);
    show(response, 400, 'text/plain', String(error));
  });
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
current = provider(issuer, keys);
serve = current.callback();
process.on('SIGTERM', () => process.exit(0));
console.log(`Endpoint ${issuer}`);
