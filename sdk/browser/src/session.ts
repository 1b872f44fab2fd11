/**
 * What a token and a server address may look like. No network here.
 *
 * Properties that begin with an underscore, here and in the other files, are renamed to one letter by
 * the build; the ones that leave the SDK keep their names.
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
 * `alter_cs_`, 43 random characters, 6 of checksum (which is the server's to check); in front of it,
 * in a `connect_url`, the server's address.
 */
const TOKEN = /^(?:(https?:\/\/[^/]+)\/sdk\/oauth\/connect#session=)?(alter_cs_[A-Za-z0-9]{49})$/;

/** Where this script came from. Asked while it runs: afterwards nobody can tell which one it was. */
const source = UMD && typeof document === "object" && (document.currentScript as HTMLScriptElement | null)?.src;

/** The server that the script came from, if it was one: any other host (a CDN) has other paths. */
const scriptOrigin = UMD ? /^(https?:\/\/[^/]+)\/sdk\//.exec(source as string)?.[1] : "";

/**
 * The origin of a server address, or `invalid_options`. An address with a path, a query or
 * credentials is refused and not trimmed: the server lives at the root of its origin, and what was
 * cut away may have been meant.
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

/**
 * Reads what the app gave as its token. An address that the app pinned wins over the one inside a
 * `connect_url`, and that one over the address of the script: whoever can slip in a token must not
 * be able to choose the server as well.
 */
export function readToken(given: unknown, pinned?: string): Session {
  const parts = TOKEN.exec(given as string);
  if (!parts) throw failure("invalid_token", "Bad token");
  return { _base: pinned || serverOrigin(parts[1] || scriptOrigin), _token: parts[2]! };
}
