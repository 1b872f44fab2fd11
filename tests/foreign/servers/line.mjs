// What a server in Node and the walk say to each other: the server writes its origin, then learns our callback URL.
import { createInterface } from 'node:readline';

/** Seconds that an access token lives: few, so that a walk sees a refresh. */
export const LIFE = 15;

/** Writes one JSON line; returns once the walk has registered its callback URL. */
export async function introduce(origin, register) {
  console.log(JSON.stringify({ origin }));
  for await (const line of createInterface({ input: process.stdin })) {
    await register(JSON.parse(line).callback);
    console.log(JSON.stringify({ registered: true }));
  }
  process.exit(0);
}
