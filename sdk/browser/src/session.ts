/**
 * What a token and a server address may look like. No network here.
 *
 * The build shortens property names that begin with an underscore, here and in the other files, to
 * one letter; names that leave the SDK have no underscore.
 */
import { failure, invalid } from "./failure";

/** True in the UMD build only, the one that can be loaded by a plain `<script>`. */
declare const UMD: boolean;

/** Plain http never leaves the machine. */
const ALLOWED_ORIGIN = /^https:|^http:..(localhost|127[\d.]+|\[::1])(:|$)/;

/**
 * The Alter server that served this script, if one did: any other host (a CDN) has other paths, and a whole address is
 * no origin. `currentScript` is set only while the script runs for the first time.
 */
const scriptOrigin = UMD
  ? (globalThis.document?.currentScript as HTMLScriptElement | null)?.src?.split("/sdk/")[0]
  : "";

/**
 * The origin of a server address, or `invalid_options`. An address with a path, a query or
 * credentials is refused, not trimmed: the server lives at the root of its origin, and the part that
 * trimming drops may have been meant.
 */
function serverOrigin(address: string | undefined): string {
  try {
    const { href, origin } = new URL(address!);
    if (href === origin + "/" && ALLOWED_ORIGIN.test(origin)) return origin;
  } catch {
    // Not an address at all: refused below.
  }
  throw invalid("baseURL");
}

/**
 * Reads what the app gave as its token: `alter_cs_`, 43 random characters, 6 of checksum (only the server checks them).
 * In a `connect_url` the server's address comes before the token.
 *
 * An address that the app pinned wins over the one inside a `connect_url`, which wins over the address of the script: an
 * attacker who can slip in a token must not choose the server as well.
 */
export function readToken(given: unknown, pinned?: string): [base: string, token: string] {
  const [token, server] = `${given}`.split("/sdk/oauth/connect#session=").reverse();
  // So much of a secret is its kind: `alter_rk_` is an API key. `undefined` is a function that forgot to return it.
  if (!/^alter_cs_\w{49}$/.test(token!)) throw failure("invalid_token", `Token: ${given}`.slice(0, 16));
  return [serverOrigin(pinned || server || scriptOrigin), token!];
}
