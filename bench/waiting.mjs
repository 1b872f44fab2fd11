// What `bench/waiting` runs: how long after the provider's answer the app's page hears of it, and what a thousand pages that
// wait cost the server. Nothing here asserts.
import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Backend } from '../tests/e2e/harness/backend.mjs';
import { startServer } from '../tests/e2e/harness/alter.mjs';
import { ended, person } from '../tests/e2e/harness/browser.mjs';
import { allowAs, toRaw, visit } from '../tests/e2e/harness/journey.mjs';
import { startWorld } from '../tests/e2e/harness/world.mjs';
import { machine, spread, today } from './figures.mjs';

const { values: plan } = parseArgs({
  options: {
    before: { type: 'string' },
    postgres: { type: 'string', default: '' },
    command: { type: 'string', default: 'bench/waiting' },
    commit: { type: 'string', default: '' },
    results: { type: 'string' },
    flows: { type: 'string', default: '20' },
    pages: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
  },
});
const [flows, pages, seconds] = [plan.flows, plan.pages, plan.seconds].map(Number);

/** From the callback's arrival at the proxy in front of the server to `onSuccess`, milliseconds. */
async function heard(world, app, sdk, n) {
  const context = await person(world.browser);
  try {
    if (sdk) await context.route('**/sdk/alter-connect.umd.js', (route) => route.fulfill({ contentType: 'text/javascript', body: sdk }));
    const page = await visit(context, app.site);
    const popup = await toRaw(page);
    // A person reads; no two of them for the same time.
    await sleep(1_000 + ((n * 137) % 1_000));
    await allowAs(popup, n % 2 ? 'alice' : 'bob');
    const { ends } = await ended(page);
    if (ends[0].kind !== 'success') throw new Error(JSON.stringify(ends));
    return ends[0].at - world.seen.findLast(({ target }) => target.startsWith('/oauth/callback/')).at;
  } finally {
    await context.close();
  }
}

/** Both SDKs in turns, so that other load on the machine meets both. */
async function latency() {
  const world = await startWorld({ tls: false, log: 'bench-waiting' });
  try {
    world.seen.push = (request) => Array.prototype.push.call(world.seen, { ...request, at: Date.now() });
    const app = await world.rawApp('Bench');
    const before = readFileSync(plan.before);
    const times = { before: [], now: [] };
    await heard(world, app, undefined, 0);
    for (let n = 0; n < flows; n += 1) {
      times.before.push(await heard(world, app, before, n));
      times.now.push(await heard(world, app, undefined, n));
    }
    return times;
  } finally {
    await world.stop();
  }
}

const TICK = 1_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A process's processor time in milliseconds and its memory in KiB. */
function used(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
  return { cpu: (Number(fields[11]) + Number(fields[12])) * TICK, rss: Number(rss) };
}

/** One page: asks, and asks again, until `stopped`. Returns how often it was answered. */
async function page(server, agent, token, wait, stopped) {
  const headers = { Host: new URL(server.origin).host, Origin: 'http://127.0.0.1:9', 'Content-Type': 'text/plain' };
  const ask = () =>
    new Promise((resolve, reject) => {
      const asked = http.request({ agent, host: '127.0.0.1', port: server.port, method: 'POST', path: '/connect/status', headers, signal: stopped }, (answer) => {
        answer.resume().on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`status ${answer.statusCode}`)))).on('error', reject);
      });
      asked.on('error', reject).end(JSON.stringify({ session_token: token, cursor: 0, closed: false, wait }));
    });
  let answers = 0;
  try {
    for (;;) {
      await ask();
      answers += 1;
      if (!wait) await sleep(1_000, undefined, { signal: stopped });
    }
  } catch (error) {
    if (stopped.aborted) return answers;
    throw error;
  }
}

async function cost(database, wait) {
  const server = await startServer({ tls: false, log: 'bench-waiting', database });
  const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
  try {
    const made = await server.cli('app', 'create', 'Bench', '--website-url', 'http://127.0.0.1:9');
    const backend = new Backend(server.origin, made.api_key);
    await server.withSecret('secret', 'provider', 'set', made.app_id, 'github', '--client-id', 'x', '--client-secret-stdin');
    const tokens = [];
    for (let n = 0; n < pages; n += 1) tokens.push((await backend.mint({ allowed_origin: 'http://127.0.0.1:9' })).session_token);
    const idle = used(server.pid);
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const asking = tokens.map((token) => page(server, agent, token, wait, stop.signal));
    await sleep(5_000);
    const from = [used(server.pid), Date.now()];
    await sleep(seconds * 1_000);
    const to = [used(server.pid), Date.now()];
    stop.abort();
    const answers = (await Promise.all(asking)).reduce((a, b) => a + b, 0);
    return {
      cpu: (100 * (to[0].cpu - from[0].cpu)) / (to[1] - from[1]),
      memory: (to[0].rss - idle.rss) / 1024,
      all: to[0].rss / 1024,
      answers: answers / (seconds + 5),
    };
  } finally {
    agent.destroy();
    await server.stop();
  }
}

/** A new database on the throw-away server; `undefined` = SQLite. */
function database(name, n) {
  if (name === 'SQLite') return undefined;
  execFileSync('psql', [plan.postgres, '-q', '-c', `CREATE DATABASE waiting_${n}`]);
  return plan.postgres.replace('/postgres?', `/waiting_${n}?`);
}

const times = await latency();
const rows = [];
for (const name of plan.postgres ? ['SQLite', 'PostgreSQL'] : ['SQLite']) {
  for (const [mode, wait] of [['ask once a second, as before', 0], ['wait (25 s)', 25]]) {
    rows.push([name, mode, await cost(database(name, wait), wait)]);
  }
}
const report = `# The status channel, ${today()}

Command: \`${plan.command}\`. ${plan.commit}. ${machine()},
load average at the end ${loadavg().map((l) => l.toFixed(1)).join(' ')}.

From the arrival of the provider's answer (the callback's request) to \`onSuccess\` in the app's page, Chromium, loopback,
${flows} flows each, taking turns. Target: 120 ms.

| SDK | median, ms (least to most) |
|---|---|
| before: asks | ${spread(times.before)} |
| now: waits | ${spread(times.now)} |

${pages} pages of one app for ${seconds} s in which nothing happens; the server's own figures.

| Database | The pages | processor, % of one | memory for them, MiB | in all, MiB | answers a second |
|---|---|---|---|---|---|
${rows.map(([name, mode, c]) => `| ${name} | ${mode} | ${c.cpu.toFixed(1)} | ${c.memory.toFixed(1)} | ${c.all.toFixed(1)} | ${c.answers.toFixed(0)} |`).join('\n')}
`;
console.log(report);
if (plan.results) writeFileSync(join(plan.results, `${today()}-waiting.md`), report);
