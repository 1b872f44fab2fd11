/**
 * One flow, from the click to the one callback that ends it.
 *
 * A flow is live until `settle` has run, and `settle` runs once. Everything that can end a flow goes
 * through `settle`: the server's verdict, a failed token, the deadline, `close()`, a later `open()`.
 * A timer ticks until then, so that no flow waits for ever.
 */
import { base64url, add, blankFrame, closePopup, onBlocked, openPopup } from "./door";
import { failure, INVALID_OPTIONS } from "./failure";
import type { AlterError, AlterEventMetadata, AlterEventName, OpenOptions } from "./index";
import { forget, keep } from "./kept";
import { readToken } from "./session";
import { FINAL, type Answer, type Ask, type Log } from "./status";
import { leavesPage } from "./transport";

/** Milliseconds, like every time below. */
const BEAT = 250;
/** The server holds its answer until there is news, for so many seconds at most. */
const WAIT = 25;
/** A poll in this time is no load for a server that does not wait, and so many in a row after a pause. */
const POLL = 1_000;
const BURST = 4 * POLL;
/** A poll without an answer is repeated after this time; its late answer is ignored. */
const PATIENCE = 30_000;
const TOKEN_WAIT = 60_000;
/** The longest a session can last; holds until the server has named the deadline. */
const LONGEST_SESSION = 3_600_000;

/** A server that has not answered once is given up after this time. */
const FIRST_ANSWER = 12_000;
/** One that has may restart: it is given up after this many failed polls in a row (some four minutes). */
const FAILURES = 30;
const BACK_OFF = 500;
/** A form that a server at hand has not answered after this time was never sent. */
const FORM_WAIT = 4_000;

type EndName = "Success" | "Error" | "Exit";

export interface Flow {
  /** Fulfilled when the flow was launched, or has ended: then by the end's name and what its callback gets. */
  _launched: Promise<any>;
  /** Its popup while that is open, or `true` while a page that is to leave waits for its token. */
  _open(): Window | boolean | null | undefined;
  /** Ends the flow as `_cancel` does, but not one that takes the page along. */
  _close(): void;
  /** Ends the flow, here and at the server; calls `onExit` only if `tellExit` is set. */
  _cancel(tellExit?: boolean): void;
}

/**
 * Starts a flow. Opens its popup before returning, while the browser still counts the user's click.
 *
 * Without `onSuccess`, the flow is one that has left and come back, with `v`: its token is what the URL said, its server
 * is `pinned` (none if this tab keeps no flow), and what is asked for is its result.
 */
export function startFlow(options: OpenOptions, log: Log, pinned?: string, v?: string): Flow {
  const now = Date.now;
  let live = true;
  /** Whether the flow takes this page along; it has no popup then. */
  let leaves: unknown;
  let popup: Window | null | undefined;
  /** Whether the popup, or this page, has been sent to the server. */
  let sent: boolean | undefined;
  let base: string;
  /** base64url of the SHA-256 of what `v` encodes. Also the id of this flow in messages. */
  let cb: string;
  /** The popup went through door B and has not asked for the proof: an opener policy may have cut it off. */
  let mute: boolean | undefined;
  let url: string;
  /** `v`, once the server is asked for something that it tells to whoever has that. */
  let proof: string | undefined;
  let ask: Ask;
  let beat: ReturnType<typeof setInterval>;
  let deadline = now() + TOKEN_WAIT;
  /** What it means if something is thrown now that is not ours: by the app's token, by a browser that lacks something. */
  let fault = "token_error";

  let cursor: unknown = 0;
  let closed: boolean | undefined = false;
  let due = 0;
  let waiting: AbortController | undefined;
  let floor = 0;
  let failures = 0;
  let heard: unknown;
  /** How long the popup has been on its way. A page that was frozen has not waited. */
  let waited = 0;
  /** Takes door B if the popup is blank still: a sandboxed frame without `allow-forms` submits nothing, silently. */
  let sandboxed: (() => void) | undefined;
  /** Of the newest event: the server's clock and this page's may differ, and times must not go back. */
  let latest = 0;

  /** Resolves what `open()` returned. */
  let end: (outcome?: unknown[]) => void;

  /** Calls the app's code in a microtask of its own: an error there is the page's and stops nothing here. */
  const tell = (kind?: EndName | "Event", ...values: unknown[]) =>
    queueMicrotask(() => (options[`on${kind!}`] as ((...values: unknown[]) => void) | undefined)?.(...values));

  const emit = (name: AlterEventName, metadata?: Partial<AlterEventMetadata>) => {
    latest = Math.max(latest, Date.parse(metadata?.timestamp!) || now());
    const complete = { ...metadata, timestamp: new Date(latest).toISOString() };
    log(name, complete);
    tell("Event", name, complete);
  };

  /** Ends the flow, once, with at most one callback. A popup that `stays` belongs to its own button from now on. */
  const settle = (stays?: unknown, kind?: EndName, ...values: unknown[]) => {
    if (popup && !stays) closePopup(popup);
    if (!live) return;
    live = false;
    waiting?.abort();
    clearInterval(beat);
    hear(removeEventListener);
    tell(kind, ...values);
    end([kind, ...values]);
  };

  const exit = () => {
    if (live) emit("EXIT");
    settle(0, "Exit");
  };

  const fail = (error: AlterError) => {
    if (live) log(error);
    // Once the popup has been sent to the server, a page of the server in it says what happened.
    settle(sent, "Error", error);
  };

  /** Page and server do not come together; the README has a sentence for each reason. */
  const lost = (reason = "unreachable", code = "network_error") =>
    fail(failure(code, reason + " " + base, { reason }));

  /** A page that left is shown again as it was: the user came back without an end, or the return page had it. */
  const onShow = ({ persisted }: PageTransitionEvent) => {
    if (persisted && leaves) forget(v!) ? cancel(true) : settle();
  };

  /**
   * Sends the proof to the server's page in this flow's popup, and to nobody else: the window, the origin and the flow's
   * id must all match. The id keeps the proof from a popup that a hostile provider has steered to another session's link.
   */
  const onMessage = ({ source, origin, data }: MessageEvent) => {
    if (source === popup && origin === base && data?.alter === "hello" && data.id === cb) {
      mute = false;
      popup!.postMessage({ alter: "proof", id: cb, v }, base);
    }
  };

  const onViolation = onBlocked("connect-src", (uri) => {
    // Older browsers name the origin alone.
    if (url.startsWith(uri)) lost("connect_src");
  });

  const hear = (change: typeof addEventListener) => {
    change("message", onMessage);
    change("securitypolicyviolation", onViolation);
    change("pageshow", onShow);
  };

  /** From here on the server is asked: at `path`, as `who`. */
  const begin = (path: string, who: object) => {
    sent = true;
    url = base + "/connect/" + path;
    /**
     * A final refusal that names its error is an answer too, without `status`. No network, a failing server, too many
     * requests and what is not JSON are none.
     *
     * A string goes out as `text/plain`, which needs no preflight. `keepalive` lets a `cancel` go out while the user leaves
     * the page; a question that waits ends with the page, or with its `signal`.
     */
    ask = async (report, signal) => {
      let response, answer;
      try {
        response = await fetch(url, {
          method: "post",
          body: JSON.stringify({ v: proof, ...who, ...report }),
          credentials: "omit",
          keepalive: report.cancel,
          signal,
        });
        answer = await response.json();
        if (response.ok && answer) return answer;
      } catch {
        // The same as no answer.
      }
      // Without a status code, the browser let no call through.
      signal?.aborted || log("refused", { status: response?.status, page: origin, url });
      if (FINAL.test(response?.status as never) && answer?.error) return answer;
    };
    hear(addEventListener);
    deadline = base ? now() + LONGEST_SESSION : 0;
  };

  const launch = async () => {
    let token: unknown = options.token;
    if (typeof token === "function") token = token();
    fault = "";
    // What is no promise is checked before a window opens for it.
    if (!(token as PromiseLike<unknown>)?.then) readToken(token, pinned);
    fault = "popup_blocked";
    // A frame cannot: the tab's page is another one, with another storage.
    const canLeave = parent === self;
    leaves = canLeave && leavesPage(navigator, innerWidth, innerHeight);
    if (!leaves) {
      popup = openPopup();
      if (popup?.closed !== false) {
        popup = undefined;
        leaves = canLeave && options.fallback;
        if (!leaves) throw popup;
      }
    }
    fault = "token_error";
    token = await token;
    fault = "";
    const [server, session] = readToken(token, pinned);
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    base = server;
    v = base64url(bytes);
    cb = base64url(await crypto.subtle.digest("SHA-256", bytes));
    if (popup?.closed) exit();
    if (!live) return;
    // `cb` says which flow asks: a token that was used before belongs to another flow.
    begin("status", { session_token: session, cb });
    fault = popup ? "popup_blocked" : "storage_blocked";
    popup || keep(base, v);
    /**
     * Door A is a form POST from a blank window: the browser itself states this page's origin. Where the app's CSP forbids
     * that form, door B has the session in its fragment, and the server's page there asks this page for proof. The blank
     * window is the popup, or a frame whose form takes this page along.
     */
    const fields: Record<string, string> = { session, cb, m: popup ? "p" : "r" };
    const throughB = () => {
      mute = true;
      (popup || self).location.href = base + "/sdk/oauth/connect#" + new URLSearchParams(fields);
    };
    const blank = popup || blankFrame();
    try {
      const page = blank.document;
      // Chromium and WebKit report a forbidden form by this event, Firefox throws out of submit().
      page.addEventListener("securitypolicyviolation", onBlocked("form-action", throughB));
      // Without this element, an app's `no-referrer` would turn the Origin of the POST into `null`.
      add(page.head, "meta", { name: "referrer", content: "origin" });
      const form = add(page.head, "form", { method: "post", action: base + "/connect/open", target: "_top" });
      for (const name in fields) add(form, "input", { name, value: fields[name] });
      form.submit();
      sandboxed = () => {
        try {
          // A window that was closed keeps its document.
          if (!blank.closed && blank.document === page) throughB();
        } catch {
          // It has left.
        }
      };
    } catch {
      throughB();
    }
    emit("OPEN");
    end();
  };

  const onBeat = () => {
    const gone = popup?.closed;
    if (now() > deadline) {
      gone ? exit() : fail(sent ? failure("session_expired", "Session expired") : failure(fault));
    } else if (sent && !leaves) {
      if (gone !== closed || now() > due) poll();
      waited += BEAT;
      if (heard) {
        if (waited > FORM_WAIT) sandboxed = sandboxed?.() as undefined;
      } else if (waited > FIRST_ANSWER) {
        // No page of the server ever came, so there is none to read.
        closePopup(popup!);
        lost();
      }
    } else if (gone) {
      // No opener policy cuts off a blank window, so this one was closed.
      exit();
    }
  };

  const poll = async () => {
    const asked = now();
    due = asked + PATIENCE;
    closed = popup?.closed;
    // What waits has told the server something else, or gets no answer. Browsers have few connections for each server.
    waiting?.abort();
    const { signal } = (waiting = new AbortController());
    const answer = await ask({ cursor, closed, wait: heard ? WAIT : 0 }, signal);
    if (signal.aborted) return;
    heard ||= answer;
    failures = answer ? 0 : failures + 1;
    floor = Math.max(floor, asked - BURST) + POLL;
    due = failures ? now() + failures * BACK_OFF : floor;
    if (answer) take(answer);
    else if (failures === FAILURES) lost();
    if (live && now() > due) poll();
  };

  const take = (answer: Answer) => {
    const { status, connections, error } = answer;
    answer.events?.forEach(({ name, metadata }) => emit(name, metadata));
    if (!options.onSuccess) forget(v!);
    if (status === "open") {
      cursor = answer.cursor;
      const named = Date.parse(answer.deadline!);
      // If the deadline is past and the server calls the session open, then this clock is wrong.
      if (named > now()) deadline = named;
    } else if (status === "exited") {
      mute ? lost("form_action", "binding_failed") : exit();
    } else if (!error && connections?.length) {
      settle(0, "Success", connections[0], connections);
    } else if (status === "pending") {
      // The app's backend has the last word: the code for it is told to whoever has `v`.
      url = base + "/connect/result";
      proof = v;
    } else if (error === "wrong_host") {
      lost("wrong_address");
    } else {
      fail(failure(error || "server_error", answer.message, answer.details));
    }
  };

  const cancel = (tellExit?: boolean) => {
    // Once the page has left, what ends there (an app's clean-up in `pagehide`) ends nothing at the server.
    if (live && sent && (!leaves || tellExit)) ask({ cursor, cancel: true });
    tellExit ? exit() : settle();
  };

  return {
    _launched: new Promise((resolve, reject) => {
      end = resolve;
      beat = setInterval(onBeat, BEAT);
      if (options.onSuccess as unknown) {
        launch().catch((thrown) => {
          const error = fault ? failure(fault, fault, { cause: thrown }) : thrown;
          if (error.code === INVALID_OPTIONS) {
            reject(error);
            settle();
          } else fail(error);
        });
      } else {
        // The flow has come back. Its server was there a moment ago.
        base = pinned!;
        heard = true;
        begin("result", { result_code: options.token, v });
        onBeat();
      }
    }),
    _open: () => live && (leaves ? !sent : !popup?.closed && popup),
    _close: () => leaves || cancel(),
    _cancel: cancel,
  };
}
