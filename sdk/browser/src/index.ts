/**
 * `@alter-ai/connect`: opens the Connect UI of an Alter server and reports what came of it.
 *
 * This file is the public API: every type an app sees, and the instance. What happens inside one
 * flow is in `flow.ts`; how the popup enters the server in `door.ts`; how the page learns the
 * outcome in `status.ts`; what a token and a server address may look like in `session.ts`.
 *
 * The popup is the only transport so far. Phones and upright tablets, which are to get a full-page
 * redirect, get the popup too until that transport is built.
 */
import { failure } from "./failure";
import { startFlow, type Flow } from "./flow";
import { serverOrigin } from "./session";

declare const VERSION: string;
/** True in the UMD build only, the one that can be loaded by a plain `<script>`. */
declare const UMD: boolean;

/** An account that the user connected. */
export interface Connection {
  /** Names the grant at the server; store it if the app keeps grants itself. */
  grant_id: string;
  /** Provider id, e.g. `"google"`. */
  provider: string;
  /** Display name of the provider, e.g. `"Google"`. */
  provider_name: string;
  /** The account at the provider, typically an email address. */
  account_identifier: string;
  /** ISO 8601. */
  timestamp: string;
  operation: "creation" | "reauth";
  scopes: string[];
  status: "active" | "pending" | "error";
  metadata?: Record<string, unknown>;
}

/** Another name for {@link Connection}. */
export type Grant = Connection;

/** Why a flow failed, or why `open()` refused. */
export interface AlterError {
  /** For programs: `popup_blocked`, `invalid_token`, `session_expired`, `oauth_denied`, ... */
  code: string;
  /** For people. */
  message: string;
  details?: Record<string, unknown>;
}

/** Moments of a flow, in the order in which they can happen. */
export type AlterEventName = "OPEN" | "PROVIDER_SELECTED" | "OAUTH_STARTED" | "OAUTH_COMPLETE" | "EXIT";

export interface AlterEventMetadata {
  /** ISO 8601. */
  timestamp: string;
  /** Provider id, where one is known. */
  provider?: string;
  [field: string]: unknown;
}

/** A session token, or the session's whole `connect_url`, which also says where the server is. */
export type SessionToken = string;

export interface AlterConnectConfig {
  /** Log lifecycle events to the console. Default `false`. */
  debug?: boolean;
  /** Origin of the Alter server: https, or http on a loopback host. */
  baseURL?: string;
}

export interface OpenOptions {
  /** A token, a promise of one, or a function returning either. It has 60 seconds. */
  token: SessionToken | PromiseLike<SessionToken> | (() => SessionToken | PromiseLike<SessionToken>);
  /** The first connection made in this flow, and all of them (at least one). */
  onSuccess: (connection: Connection, connections: Connection[]) => void;
  onError?: (error: AlterError) => void;
  /** The user left without finishing. */
  onExit?: () => void;
  onEvent?: (eventName: AlterEventName, metadata: AlterEventMetadata) => void;
  /** As in {@link AlterConnectConfig}, for this flow only. */
  baseURL?: string;
  /** Reserved for the redirect transport; refused with `invalid_options` until that is built. */
  fallback?: "redirect";
}

interface AlterConnect {
  /**
   * Opens the Connect UI. Call it straight from a click handler, with the token still to be fetched
   * if need be. Resolves when the UI was launched or the flow has ended; rejects with an
   * {@link AlterError} of code `invalid_options` or `sdk_destroyed`. Every other failure goes to
   * `onError`. While a flow is open, a second call brings its popup to the front and does no more.
   */
  open(options: OpenOptions): Promise<void>;
  /** Ends the flow and closes its popup; no callback is called. */
  close(): void;
  /** Ends the flow as `close()` does and refuses every later `open()`. */
  destroy(): void;
  /** Whether a popup of this instance can be seen to be open. */
  isOpen(): boolean;
  /** Version of this package. */
  getVersion(): string;
}

/** Read while the script runs: afterwards nobody can tell which script this was. */
const script = UMD && typeof document === "object" ? (document.currentScript as HTMLScriptElement | null) : null;

/** The server that the script itself came from. Any other host (a CDN) is not taken for one. */
const scriptOrigin = UMD ? /^(https?:\/\/[^/]+)\/sdk\//.exec((script && script.src) || "")?.[1] : undefined;

const AlterConnect = {
  /** Makes an instance. A bad `baseURL` is reported by `open()`, so that a page never fails to load. */
  create(config: AlterConnectConfig = {}): AlterConnect {
    let flow: Flow | undefined;
    let destroyed: boolean | undefined;

    const close = () => flow?.cancel();

    return {
      // `async` also turns whatever is thrown here into a rejection; up to its first `await` it runs
      // inside the caller's click.
      async open(options) {
        if (destroyed) throw failure("sdk_destroyed", "This instance was destroyed");
        const pinned = checkedServer(options, config);
        if (flow?.isOpen()) return flow.focus();
        const next = startFlow(options, pinned, scriptOrigin, config.debug);
        if (next.isOpen()) {
          // The new flow is in place first: an `onExit` that calls `open()` then finds it.
          const previous = flow;
          flow = next;
          previous?.cancel(true);
        }
        return next.launched;
      },
      close,
      destroy() {
        destroyed = true;
        close();
      },
      isOpen: () => !!flow?.isOpen(),
      getVersion: () => VERSION,
    };
  },
};

/** Refuses options that no flow can start from; the server that they name, if they name one. */
function checkedServer(options: OpenOptions, config: AlterConnectConfig): string | undefined {
  if (!options?.token || typeof options.onSuccess !== "function") {
    throw failure("invalid_options", "token and onSuccess are required");
  }
  if (options.fallback) throw failure("invalid_options", "fallback is not built yet");
  const named = options.baseURL ?? config?.baseURL;
  return named == null ? undefined : serverOrigin(named);
}

export default AlterConnect;
