/**
 * What a token and a server address may look like. No network here.
 *
 * The build shortens property names that begin with an underscore, here and in the other files, to
 * one letter; names that leave the SDK have no underscore.
 */
import { failure, INVALID_OPTIONS } from "./failure";

/** True in the UMD build only, the one that can be loaded by a plain `<script>`. */
declare const UMD: boolean;

/** A session that a flow can be started with. */
export interface Session {
  /** Serialised origin of the server. */
  _base: string;
  _token: string;
}

/** Plain http never leaves the machine. */
const ALLOWED_ORIGIN = /^https:|^http:\/\/(localhost|127\.[\d.]+|\[::1])(:\d+)?$/;

/**
 * `alter_cs_`, 43 random characters, 6 of checksum (only the server checks them). In a `connect_url`
 * the server's address comes before the token.
 */
const TOKEN = /^(?:(https?:\/\/[^/]+)\/sdk\/oauth\/connect#session=)?(alter_cs_[A-Za-z0-9]{49})$/;

/** The address of this script. `currentScript` is set only while the script runs for the first time. */
const source = UMD && typeof document === "object" && (document.currentScript as HTMLScriptElement | null)?.src;

/** The Alter server that served the script, if one did: any other host (a CDN) has other paths. */
const scriptOrigin = UMD ? /^(https?:\/\/[^/]+)\/sdk\//.exec(source as string)?.[1] : "";

/**
 * The origin of a server address, or `invalid_options`. An address with a path, a query or
 * credentials is refused, not trimmed: the server lives at the root of its origin, and the part that
 * trimming drops may have been meant.
 */
export function serverOrigin(address: string | undefined): string {
  try {
    const { href, origin } = new URL(address!);
    if (href === origin + "/" && ALLOWED_ORIGIN.test(origin)) return origin;
  } catch {
    // Not an address at all: refused below.
  }
  throw failure(INVALID_OPTIONS, "baseURL must be an https origin");
}

/** What is wrong with a token that is none: `undefined` is a function that forgot to return it. */
const faultOf = (given: unknown): string =>
  typeof given !== "string"
    ? "Token is " + (given && typeof given) + ", not string"
    : /^alter_(?!cs_)/.test(given)
      ? "Token is an API key: keep it on the server"
      : "Bad token";

/**
 * Reads what the app gave as its token. An address that the app pinned wins over the one inside a
 * `connect_url`, which wins over the address of the script: an attacker who can slip in a token must
 * not choose the server as well.
 */
export function readToken(given: unknown, pinned?: string): Session {
  const parts = TOKEN.exec(given as string);
  if (!parts) throw failure("invalid_token", faultOf(given));
  return { _base: pinned || serverOrigin(parts[1] || scriptOrigin), _token: parts[2]! };
}
