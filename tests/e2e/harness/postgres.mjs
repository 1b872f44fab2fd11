// A throw-away PostgreSQL, from the installed programs (scripts/setup-postgres). It trusts everybody who reaches its
// socket and does not wait for the disk: put nothing into it that matters.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The folder of PostgreSQL's programs: `PG_BIN`, or Debian's newest. */
function programs() {
  if (process.env.PG_BIN) return process.env.PG_BIN;
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).map(Number).filter(Boolean) : [];
  if (!versions.length) throw new Error('PostgreSQL is not installed: scripts/setup-postgres, or name its programs in PG_BIN');
  return join(base, String(Math.max(...versions)), 'bin');
}

// PostgreSQL refuses to run as root, so root runs it as the package's own user.
const demoted = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--'] : [];
const command = (program, ...args) => [...demoted, join(programs(), program), ...args];
const env = { PATH: process.env.PATH };

// A shell between us and the server: when this process ends, however it ends, the shell's input ends, and the shell
// stops the server.
const SUPERVISOR = 'dir=$1; shift; "$@" >"$dir/log" 2>&1 & server=$!; read -r _; kill -QUIT $server; wait $server; rm -rf "$dir"';

/** Starts a cluster with one empty database: `{url, sql, stop}`. */
export async function startPostgres() {
  const dir = mkdtempSync(join(tmpdir(), 'alter-pg-'));
  const data = join(dir, 'data');
  const run = ([program, ...args]) => execFileSync(program, args, { env, cwd: '/', stdio: 'pipe' });
  if (demoted.length) run(['chown', 'postgres', dir]);
  run(command('initdb', '--no-sync', '--no-instructions', '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C.UTF-8', '-D', data));
  const server = command('postgres', '-D', data, '-k', dir, '-c', 'listen_addresses=', '-c', 'fsync=off');
  const shell = spawn('sh', ['-c', SUPERVISOR, 'supervisor', dir, ...server],
    { env, cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const psql = (database, statement) =>
    run([join(programs(), 'psql'), '-XqAt', '-U', 'postgres', '-h', dir, '-d', database, '-c', statement]).toString().trim();
  for (let tries = 0; ; tries += 1) {
    try {
      psql('postgres', 'CREATE DATABASE alter_e2e');
      break;
    } catch (error) {
      if (tries === 300) throw new Error(`PostgreSQL did not start: ${error}\n${readFileSync(join(dir, 'log'), 'utf8')}`);
      await new Promise((done) => setTimeout(done, 200));
    }
  }
  return {
    url: `postgres://postgres@localhost/alter_e2e?host=${encodeURIComponent(dir)}`,
    sql: (statement) => psql('alter_e2e', statement),
    stop: () => new Promise((done) => {
      shell.once('exit', () => {
        rmSync(dir, { recursive: true, force: true });
        done();
      });
      shell.stdin.end();
    }),
  };
}
