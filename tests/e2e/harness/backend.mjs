// An app's backend: signed calls with its API key, and plain calls to a provider with a released token.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { request } from './net.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key, message) => createHmac('sha256', key).update(message).digest();

const decode = (piece) => {
  const bytes = [];
  for (let at = 0; at < piece.length; at += 1) {
    const hex = /^%([0-9a-f]{2})/i.exec(piece.slice(at, at + 3));
    if (hex) bytes.push(parseInt(hex[1], 16));
    else bytes.push(...Buffer.from(piece[at]));
    if (hex) at += 2;
  }
  return Buffer.from(bytes).toString();
};

const encode = (value) =>
  Array.from(Buffer.from(value), (byte) => {
    const char = String.fromCharCode(byte);
    if (/[A-Za-z0-9_.~-]/.test(char)) return char;
    return byte === 0x20 ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');

const less = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function canonicalPath(target) {
  const cut = target.indexOf('?');
  if (cut < 0 || cut === target.length - 1) return decode(cut < 0 ? target : target.slice(0, cut));
  const pairs = target.slice(cut + 1).split('&').filter(Boolean).map((piece) => {
    const [name, ...rest] = piece.split('=');
    return [name, rest.join('=')].map((part) => decode(part.replace(/\+/g, ' ')));
  });
  pairs.sort(([a, x], [b, y]) => less(a, b) || less(x, y));
  return `${decode(target.slice(0, cut))}?${pairs.map((pair) => pair.map(encode).join('=')).join('&')}`;
}

const IDENTITY = [['X-Alter-Caller', 'caller'], ['X-Alter-Caller-Type', 'caller-type'],
  ['X-Alter-Actor-ID', 'actor-id'], ['X-Alter-Context', 'actor-context']];

/** The string that is signed, and the headers that carry the signature. */
export function sign({ key, method, target, body = '', timestamp, nonce, extra = {} }) {
  const hash = sha256(body);
  const scopes = extra['X-Alter-Scope-Constraints'] ?? '';
  let string = [method, canonicalPath(target), timestamp, nonce, hash, scopes].join('\n');
  if (extra['X-Alter-Request-Rule']) string += `\nrequest-rule:${extra['X-Alter-Request-Rule']}`;
  const identity = IDENTITY.filter(([name]) => extra[name]);
  for (const [name, label] of identity) string += `\n${label}:${extra[name]}`;
  const signature = createHmac('sha256', hmac(key, 'alter-signing-v1')).update(string).digest('hex');
  const headers = {
    'X-Alter-Timestamp': timestamp,
    'X-Alter-Nonce': nonce,
    'X-Alter-Content-SHA256': hash,
    'X-Alter-Signature': signature,
  };
  if (identity.length) headers['X-Alter-Signature-V2'] = signature;
  return { string, headers };
}

/** The backend of one app at one server. */
export class Backend {
  constructor(origin, key) {
    Object.assign(this, { origin, key });
  }

  /** A signed POST: `{status, headers, body, json}`. */
  post(target, payload) {
    return this.send('POST', target, JSON.stringify(payload));
  }

  /** Any signed call. `json` is null when the answer has no body. */
  async send(method, target, body = '') {
    const { headers } = sign({
      key: this.key,
      method,
      target,
      body,
      timestamp: String(Math.floor(Date.now() / 1000)),
      nonce: randomBytes(16).toString('hex'),
    });
    const answer = await request(this.origin + target, {
      method,
      headers: { 'x-api-key': this.key, 'Content-Type': 'application/json', ...headers },
      body,
    });
    return { ...answer, json: answer.body ? JSON.parse(answer.body) : null };
  }

  async #expect(status, target, payload) {
    const answer = await this.post(target, payload);
    if (answer.status !== status) throw new Error(`${target}: ${answer.status} ${answer.body}`);
    return answer.json;
  }

  mint(fields = {}) {
    return this.#expect(201, '/sdk/oauth/connect/session', fields);
  }

  poll(token) {
    return this.#expect(200, '/sdk/oauth/connect/session/poll', { session_token: token });
  }

  /** The released token of a grant, for one URL. */
  token(grant, url) {
    return this.#expect(200, '/sdk/token', { grant_id: grant, reason: 'test', request: { method: 'GET', url } });
  }

  /** Calls a provider's API with the token of a grant. Returns the provider's answer. */
  async call(grant, url) {
    const { access_token, token_type } = await this.token(grant, url);
    const answer = await request(url, { headers: { Authorization: `${token_type ?? 'Bearer'} ${access_token}` } });
    return { status: answer.status, json: JSON.parse(answer.body) };
  }
}
