// The harness signs as the published backend client does: tested with that client's recorded vectors.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { sign } from './harness/backend.mjs';

const file = new URL('../../crates/signing/tests/vectors/hmac_vectors.json', import.meta.url);
const { api_key: key, timestamp, nonce, vectors } = JSON.parse(readFileSync(file));

test('the test backend signs every recorded vector as the published client did', () => {
  assert.ok(vectors.length >= 20);
  for (const vector of vectors) {
    const { method, path_as_built: target, body_utf8: body } = vector;
    const extra = { ...vector.extra_headers_signed };
    if (vector.scope_constraints) extra['X-Alter-Scope-Constraints'] = vector.scope_constraints;
    if (vector.request_rule) extra['X-Alter-Request-Rule'] = vector.request_rule;
    const { string, headers } = sign({ key, method, target, body, timestamp, nonce, extra });
    assert.equal(string, vector.string_to_sign, vector.name);
    for (const [name, value] of Object.entries(headers)) assert.equal(value, vector.emitted_headers[name], `${vector.name} ${name}`);
  }
});
