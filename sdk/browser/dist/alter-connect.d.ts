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
    /** `pending`: the app's backend has to confirm (binding level L3), and `grant_id` is empty. */
    status: "active" | "pending" | "error";
    /** `result_code` of a pending connection: send it to the app's backend at once. */
    metadata?: Record<string, unknown>;
}
/** Another name for {@link Connection}. */
export type Grant = Connection;
/** Why a flow failed, or why `open()` refused: an `Error` with these fields. */
export interface AlterError {
    /** For programs: `popup_blocked`, `invalid_token`, `session_expired`, `oauth_denied`, ... */
    code: string;
    /**
     * For people, where the server says how a flow ended: `oauth_denied`, `oauth_provider_error`, `session_expired`,
     * `server_error`, and `binding_failed` with the reason `other_browser` or `cookies_blocked`. Every other one, such as
     * the SDK's own (mostly its code), is for developers.
     */
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
    /** A token, a promise of one, or a function returning either. The token must come within 60 seconds. */
    token: SessionToken | PromiseLike<SessionToken> | (() => SessionToken | PromiseLike<SessionToken>);
    /** The first connection made in this flow, and all of them (at least one). */
    onSuccess: (connection: Connection, connections: Connection[]) => void;
    onError?: (error: AlterError) => void;
    /** The user left without finishing. */
    onExit?: () => void;
    onEvent?: (eventName: AlterEventName, metadata: AlterEventMetadata) => void;
    /** As in {@link AlterConnectConfig}, for this flow only. */
    baseURL?: string;
    /** Where the popup is blocked, the page leaves by redirect, as on a phone, and not with `popup_blocked`. */
    fallback?: "redirect";
}
/** How a flow can end that took the page along: the handlers of the page that the user returns to. */
export interface AlterHandlers {
    /** The first connection made in this flow, and all of them (at least one). */
    success: (connection: Connection, connections: Connection[]) => void;
    error: (error: AlterError) => void;
    /** The user left without finishing. */
    exit: () => void;
}
interface AlterConnect {
    /**
     * Opens the Connect UI. Call it straight from a click handler; if the token must still be fetched,
     * pass a function or a promise. Resolves when the UI was launched or the flow has ended; rejects
     * with an {@link AlterError} of code `invalid_options` or `sdk_destroyed`. Every other failure goes
     * to `onError`. While a flow is open, a second call only brings its popup to the front.
     */
    open(options: OpenOptions): Promise<void>;
    /**
     * Registers for the outcome of a flow that left by redirect and came back to this page. A handler hears of it once,
     * however late it is registered. Flows in a popup end at the callbacks of their `open()`. Returns what takes the
     * handler away again.
     */
    on<End extends keyof AlterHandlers>(end: End, handler: AlterHandlers[End]): () => void;
    off<End extends keyof AlterHandlers>(end: End, handler: AlterHandlers[End]): void;
    /**
     * Ends the flow and closes its popup, also one that a failure left open; no callback is called. Does nothing to a
     * flow that leaves by redirect.
     */
    close(): void;
    /** Ends the flow, silently too, and refuses every later `open()`. No handler is called any more. */
    destroy(): void;
    /** Whether a popup of this instance is open, as far as this page can see, or the page is about to leave. */
    isOpen(): boolean;
    /** Version of this package. */
    getVersion(): string;
}
declare const AlterConnect: {
    /** Makes an instance. A bad `baseURL` is reported by `open()`, so that a page never fails to load. */
    create(config?: AlterConnectConfig): AlterConnect;
};
export default AlterConnect;
