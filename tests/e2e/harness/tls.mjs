// TLS in front of the server, like an operator's proxy: a certificate made now, and a record of every request that
// reached us and of its answer, which the scans for leaked tokens read. `rewrites` change what a page or script says.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listen, shut, text } from './net.mjs';

function certificate() {
  const dir = mkdtempSync(join(tmpdir(), 'alter-e2e-tls-'));
  try {
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
      '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** A proxy on localhost. `backend` is the plain port behind it and may be set later. */
export async function startProxy({ tls }) {
  const seen = [];
  const forward = (incoming, outgoing) => {
    const { method, url: path } = incoming;
    const entry = { method, target: path, referer: incoming.headers.referer ?? '' };
    seen.push(entry);
    const rewrite = proxy.rewrites.find(({ matches }) => matches.test(path))?.rewrite;
    const headers = rewrite ? { ...incoming.headers, 'accept-encoding': 'identity' } : incoming.headers;
    const inner = http.request({ host: '127.0.0.1', port: proxy.backend, method, path, headers }, async (answer) => {
      Object.assign(entry, { status: answer.statusCode, headers: answer.headers });
      if (rewrite) {
        const { 'content-length': _, etag: __, ...rest } = answer.headers;
        return outgoing.writeHead(answer.statusCode, rest).end(await rewrite(await text(answer)));
      }
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    inner.on('error', () => outgoing.destroy());
    outgoing.on('close', () => inner.destroy());
    incoming.pipe(inner);
  };
  const server = tls ? https.createServer(certificate(), forward) : http.createServer(forward);
  const port = await listen(server);
  const proxy = { backend: 0, port, seen, rewrites: [], origin: `${tls ? 'https' : 'http'}://localhost:${port}`, stop: () => shut(server) };
  return proxy;
}
