// Two certified OpenID providers in one process, for the tests in Python: one rotates refresh tokens and ends the grant
// when a used one comes back, the other never changes them. Access tokens live as many seconds as the argument says.
// Reads a JSON array per line and writes one answer per line: ["register", name, callback], ["refreshes", name].
import { createInterface } from 'node:readline';
import { startOidcProvider } from '../e2e/harness/oidc-provider.mjs';

const start = (rotateRefreshToken) =>
  startOidcProvider({
    rotateRefreshToken,
    issueRefreshToken: () => true,
    expiresWithSession: () => false,
    // Only access tokens end within a test, however long it runs.
    ttl: {
      Interaction: 600,
      Session: 86_400,
      Grant: 86_400,
      RefreshToken: 86_400,
      AccessToken: Number(process.argv[2]),
      IdToken: 600,
    },
  });

const providers = { rotating: await start(true), keeping: await start(false) };
const say = (value) => console.log(JSON.stringify(value));
const { issuer: rotating } = providers.rotating;
const { issuer: keeping } = providers.keeping;
say({ rotating, keeping });
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, name, argument] = JSON.parse(line);
  if (verb === 'register') providers[name].register(argument);
  say(providers[name].refreshes);
}
process.exit(0);
