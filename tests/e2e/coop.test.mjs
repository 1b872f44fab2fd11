// Twelve cells of the opener matrix, in every engine: whichever policies the app's page and the provider have, somebody who
// stays at the provider for longer than an exit takes is never told as an exit, and comes back with the result. With client
// 0.8.0 the popup stays on our page and the provider has a window of its own, so that its policy decides nothing either.
// `coop-matrix.mjs` has all cells.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ended, pause, person, told } from './harness/browser.mjs';
import { allowAs, toConsent, approve, visit } from './harness/journey.mjs';
import { startWorld } from './harness/world.mjs';

/** Longer than the five seconds after which an exit may be told. All cells stay at the same time. */
const STAY = 8000;
const coop = (policy) => ({ 'Cross-Origin-Opener-Policy': policy });
const PROVIDERS = {
  'no COOP': {},
  'same-origin': { headers: coop('same-origin') },
  'same-origin-allow-popups': { headers: coop('same-origin-allow-popups') },
  'a later hop: same-origin': { hop: coop('same-origin') },
};
const APPS = ['no COOP', 'same-origin-allow-popups', 'same-origin'];

let world;
before(async () => {
  world = await startWorld({ tls: false, log: 'coop' });
});
after(() => world?.stop());

let turn = Promise.resolve();
/** One person at a time clicks: a window in front covers the others. */
const inTurn = (work) => {
  const mine = turn.then(work);
  turn = mine.catch(() => {});
  return mine;
};

async function away(context, app, policy, client = {}) {
  const page = await visit(context, app.site, `?${new URLSearchParams({ ...client, ...(policy === 'no COOP' ? {} : { coop: policy }) })}`);
  const popup = await approve(await toConsent(page));
  if (app.raw.hop) await popup.click('#on');
  await popup.locator('#alice').waitFor();
  return { page, popup };
}

describe('opener policies', { concurrency: 12 }, () => {
  for (const policy of APPS) {
    for (const [name, provider] of Object.entries(PROVIDERS)) {
      test(`t35_t36_app ${policy}, provider ${name}: no exit while the person is there, then the result`, async () => {
        const { app, context, page, popup } = await inTurn(async () => {
          const app = await world.rawApp('Cell');
          Object.assign(app.raw, provider);
          const context = await person(world.browser);
          return { app, context, ...(await away(context, app, policy)) };
        });
        await pause(STAY);
        assert.deepEqual((await told(page)).ends, []);
        await inTurn(() => allowAs(popup));
        assert.deepEqual((await ended(page)).ends.map((end) => end.kind), ['success'], app.site.origin);
        await context.close();
      });
    }
  }
  // An app whose own policy cuts the popup off cannot be proven to client 0.8.0's marks: it is refused (threats 6.3).
  for (const policy of APPS.slice(0, 2)) {
    for (const [name, provider] of Object.entries(PROVIDERS)) {
      test(`t34_t35_client 0.8.0, app ${policy}, provider ${name}: no exit, no opener, then the result`, async () => {
        const { app, context, page, popup } = await inTurn(async () => {
          const app = await world.rawApp('Published cell', ['--legacy-clients']);
          Object.assign(app.raw, provider);
          const context = await person(world.browser);
          return { app, context, ...(await away(context, app, policy, { sdk: 'published' })) };
        });
        assert.equal(await popup.evaluate(() => window.opener), null, 'a hostile provider would lead the other window away');
        await pause(STAY);
        assert.deepEqual((await told(page)).ends, []);
        await inTurn(() => allowAs(popup));
        assert.deepEqual((await ended(page)).ends.map((end) => end.kind), ['success'], app.site.origin);
        await context.close();
      });
    }
  }
});
