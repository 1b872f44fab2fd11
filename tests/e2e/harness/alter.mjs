// The product itself: the `alter` binary with a throw-away data directory, driven only by the commands of operators.
import { execFile, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ENGINE } from './engines.mjs';
import { freePort, request } from './net.mjs';
import { startProxy } from './tls.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));
export const BIN = process.env.ALTER_BIN || join(root, 'target/debug/alter');
export const OUT = fileURLToPath(new URL(`../out/${ENGINE}/`, import.meta.url));
mkdirSync(OUT, { recursive: true });
if (!existsSync(BIN)) throw new Error(`${BIN} is not there: cargo build -p alter-cli, or set ALTER_BIN`);

/** Runs `alter ARGS` to its end. Resolves to its output; if it fails, rejects with what it wrote. */
export const alter = (env, args, input = '') =>
  new Promise((resolve, reject) => {
    const child = execFile(BIN, args, { env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      if (error) reject(new Error(`alter ${args.join(' ')}: ${stderr || stdout || error.message}`));
      else resolve(stdout);
    });
    // A command that reads nothing may be gone before that: its exit status says whether it worked.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });

/** Starts `alter ARGS`; its output goes to `onLine` and to a log file beside the screenshots. */
export function startAlter(env, args, log, onLine = () => {}) {
  const child = spawn(BIN, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const file = join(OUT, `${log}.log`);
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (chunk) => {
      appendFileSync(file, chunk);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      lines.forEach(onLine);
    });
  }
  return {
    child,
    // As Ctrl-C: a SIGTERM would wait for what the browser may still send over open connections.
    stop: (signal = 'SIGINT') =>
      new Promise((done) => {
        if (child.exitCode !== null || child.signalCode !== null) return done();
        child.once('exit', done);
        child.kill(signal);
        setTimeout(() => child.kill('SIGKILL'), 3000).unref();
      }),
  };
}

/**
 * A server with an empty database. `tls` puts the tests' own TLS in front of it; without it, the server is plain http
 * on loopback. Both go through the same recording proxy. `database` is a URL; without it, the database is SQLite.
 */
export async function startServer({ tls, log, database }) {
  const proxy = await startProxy({ tls });
  proxy.backend = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'alter-e2e-'));
  const env = {
    ALTER_DATA_DIR: join(dir, 'data'),
    ALTER_LISTEN: `127.0.0.1:${proxy.backend}`,
    ALTER_PUBLIC_URL: proxy.origin,
    ALTER_EGRESS_ALLOW: '127.0.0.0/8,::1/128',
    ALTER_LOG: process.env.ALTER_LOG || 'info',
  };
  if (database) env.ALTER_DATABASE_URL = database;
  const cli = async (...args) => JSON.parse(await alter(env, [...args, '--json']));
  const withSecret = async (secret, ...args) => JSON.parse(await alter(env, [...args, '--json'], secret));
  await alter(env, ['init']);
  const server = startAlter(env, ['serve'], log);
  await ready(`http://127.0.0.1:${proxy.backend}/healthz`, server.child);
  return {
    origin: proxy.origin,
    seen: proxy.seen,
    pid: server.child.pid,
    port: proxy.backend,
    rewrites: proxy.rewrites,
    cli,
    withSecret,
    async stop() {
      await server.stop();
      await proxy.stop();
      rmSync(dir, { recursive: true });
    },
  };
}

async function ready(url, child) {
  for (let tries = 0; tries < 1200; tries += 1) {
    if (child.exitCode !== null) throw new Error(`alter serve ended with ${child.exitCode}: see the log in out/`);
    const answer = await request(url).catch(() => null);
    if (answer?.status === 200) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error('alter serve did not become ready within 60 s');
}
