// Sockets and requests: free ports, listening, and HTTP calls that neither follow redirects nor hide a header.
import http from 'node:http';
import https from 'node:https';

/** Listens on `port` (0 = any) of a loopback address and resolves to the port. */
export const listen = (server, host = '127.0.0.1', port = 0) =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server.address().port));
  });

let tried = 0;

/**
 * Resolves to a port that is free now. All ports tried lie below 32768, where Linux starts to hand out ports for
 * outgoing connections and for "any"; processes that run side by side start far from one another.
 */
export async function freePort() {
  for (;;) {
    const port = 20000 + ((process.pid * 97 + tried++) % 12000);
    const server = http.createServer();
    try {
      await listen(server, '127.0.0.1', port);
    } catch (taken) {
      if (taken.code === 'EADDRINUSE') continue;
      throw taken;
    }
    await new Promise((done) => server.close(done));
    return port;
  }
}

/** Ends a server at once, open connections included. */
export const shut = (server) =>
  new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });

/** The whole body of a request or response, as text. */
export async function text(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Sends a request; resolves to `{status, headers, body}`. Certificates are not verified: the tests sign their own. */
export const request = (url, { method = 'GET', headers = {}, body = '' } = {}) =>
  new Promise((resolve, reject) => {
    const client = url.startsWith('https:') ? https : http;
    const call = client.request(url, { method, headers, rejectUnauthorized: false, agent: false }, async (answer) => {
      try {
        resolve({ status: answer.statusCode, headers: answer.headers, body: await text(answer) });
      } catch (error) {
        reject(error);
      }
    });
    call.on('error', reject);
    call.end(body);
  });
