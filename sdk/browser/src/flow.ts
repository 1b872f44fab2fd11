/**
 * One flow, from the click to the one callback that ends it.
 *
 * A flow is live until `settle` has run, and `settle` runs once. Everything that can end a flow goes
 * through `settle`: the server's verdict, a failed token, the deadline, `close()`, a later `open()`.
 * A timer ticks until then, so that no flow waits for ever.
 */
import { answerHello, closePopup, enter, openPopup, prove, type Proven } from "./door";
import { failure, INVALID_OPTIONS } from "./failure";
import type { AlterError, AlterEventMetadata, AlterEventName, OpenOptions } from "./index";
import { readToken } from "./session";
import { ask, STATUS, type Answer } from "./status";

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

export interface Flow {
  /** What `open()` returns. */
  _launched: Promise<void>;
  _isOpen(): unknown;
  _focus(): void;
  /** Ends the flow, here and at the server; calls `onExit` only if `tellExit` is set. */
  _cancel(tellExit?: boolean): void;
}

/** Starts a flow. Opens its popup before returning, while the browser still counts the user's click. */
export function startFlow(options: OpenOptions, pinned?: string, debug?: boolean): Flow {
  const now = Date.now;
  let live = true;
  let popup: Window | null | undefined;
  /** Set once the popup has been sent to the server. */
  let session: Proven | undefined;
  let beat: ReturnType<typeof setInterval>;
  let deadline = now() + TOKEN_WAIT;

  let cursor: unknown = 0;
  let closed = false;
  let turn = 0;
  let due = 0;
  let waiting: AbortController | undefined;
  let floor = 0;
  let failures = 0;
  let heard: unknown;
  /** How long the popup has been on its way. A page that was frozen has not waited. */
  let waited = 0;
  let beatAt = 0;
  let byFragment: (() => undefined) | undefined;
  /** Of the newest event: the server's clock and this page's may differ, and times must not go back. */
  let latest = 0;

  /** Resolves what `open()` returned. */
  let end: () => void;

  /** Calls the app's code in a microtask of its own: an error there is the page's and stops nothing here. */
  const tell = <A extends unknown[]>(callback: ((...args: A) => void) | undefined, ...args: A) => {
    if (callback) queueMicrotask(() => callback(...args));
  };

  const log = (what: unknown, more?: object) => {
    if (debug) console.log("Alter", what, more);
  };

  const emit = (name: AlterEventName, metadata?: Partial<AlterEventMetadata>) => {
    latest = Math.max(latest, Date.parse(metadata?.timestamp!) || now());
    const complete = { ...metadata, timestamp: new Date(latest).toISOString() };
    log(name, complete);
    tell(options.onEvent, name, complete);
  };

  /** Ends the flow, once, with at most one callback. A popup that `stays` belongs to its own button from now on. */
  const settle = <A extends unknown[]>(stays?: unknown, callback?: (...args: A) => void, ...args: A) => {
    if (popup && !stays) closePopup(popup);
    if (!live) return;
    live = false;
    turn++;
    waiting?.abort();
    clearInterval(beat);
    removeEventListener("message", onMessage);
    removeEventListener("securitypolicyviolation", onViolation);
    tell(callback, ...args);
    end();
  };

  const exit = () => {
    if (live) emit("EXIT");
    settle(0, options.onExit);
  };

  const fail = (error: AlterError) => {
    if (live) log(error);
    // Once the popup has been sent to the server, a page of the server in it says what happened.
    settle(session, options.onError, error);
  };

  const onMessage = (event: MessageEvent) => {
    answerHello(event, popup!, session!);
  };

  /** Page and server do not come together; the README has a sentence for each reason. */
  const lost = (reason = "unreachable", code = "network_error") =>
    fail(failure(code, reason + " " + session!._base, { reason }));

  const onViolation = ({ effectiveDirective, disposition, blockedURI }: SecurityPolicyViolationEvent) => {
    // Older browsers name the origin alone.
    if (
      effectiveDirective === "connect-src" &&
      disposition !== "report" &&
      (session!._base + STATUS).startsWith(blockedURI)
    )
      lost("connect_src");
  };

  const noToken = (cause?: unknown) => failure("token_error", "No session token", { cause });
  const blocked = (cause?: unknown) => failure("popup_blocked", "Popup blocked", { cause });

  const launch = async () => {
    let token: unknown = options.token;
    try {
      if (typeof token === "function") token = token();
    } catch (cause) {
      throw noToken(cause);
    }
    // What is no promise is checked before a window opens for it.
    if (!(token as PromiseLike<unknown>)?.then) readToken(token, pinned);
    popup = openPopup();
    if (!popup || popup.closed) throw blocked();
    beat = setInterval(onBeat, BEAT);
    try {
      token = await token;
    } catch (cause) {
      throw noToken(cause);
    }
    const proven = await prove(readToken(token, pinned));
    if (popup.closed) exit();
    if (!live) return;
    session = proven;
    deadline = now() + LONGEST_SESSION;
    addEventListener("message", onMessage);
    addEventListener("securitypolicyviolation", onViolation);
    beatAt = now();
    byFragment = enter(popup, proven);
    emit("OPEN");
    end();
  };

  const onBeat = () => {
    const gone = popup!.closed;
    if (now() > deadline) {
      gone ? exit() : fail(session ? failure("session_expired", "Session expired") : noToken());
    } else if (session) {
      waited += Math.min(now() - beatAt, 1_000);
      beatAt = now();
      if (!heard && waited > FIRST_ANSWER) {
        // No page of the server ever came, so there is none to read.
        closePopup(popup!);
        return lost();
      }
      if (heard && waited > FORM_WAIT) byFragment = byFragment?.();
      if (gone !== closed || now() > due) poll(session);
    } else if (gone) {
      // No opener policy cuts off a blank window, so this one was closed.
      exit();
    }
  };

  const poll = async (proven: Proven) => {
    const mine = ++turn;
    const asked = now();
    due = asked + PATIENCE;
    closed = popup!.closed;
    // What waits has told the server something else, or gets no answer. Browsers have few connections for each server.
    waiting?.abort();
    waiting = new AbortController();
    const answer = await ask(proven, { cursor, closed, wait: heard ? WAIT : 0 }, log, waiting.signal);
    if (mine !== turn) return;
    heard ||= answer;
    failures = answer ? 0 : failures + 1;
    floor = Math.max(floor, asked - BURST) + POLL;
    due = failures ? now() + failures * BACK_OFF : floor;
    if (answer) take(answer);
    else if (failures === FAILURES) lost();
    if (live && now() > due) poll(proven);
  };

  const take = (answer: Answer) => {
    const { status, connections, error } = answer;
    answer.events?.forEach(({ name, metadata }) => emit(name, metadata));
    if (status === "open") {
      cursor = answer.cursor;
      const named = Date.parse(answer.deadline!);
      // If the deadline is past and the server calls the session open, then this clock is wrong.
      if (named > now()) deadline = named;
    } else if (status === "exited") {
      session!._mute ? lost("form_action", "binding_failed") : exit();
    } else if (status === "completed" && connections?.length) {
      settle(0, options.onSuccess, connections[0]!, connections);
    } else if (error === "wrong_host") {
      lost("wrong_address");
    } else {
      fail(failure(error || "server_error", answer.message || "", answer.details));
    }
  };

  return {
    _launched: new Promise((resolve, reject) => {
      end = resolve;
      launch().catch((thrown) => {
        // What a browser throws has no code of ours: in a sandboxed frame, Firefox throws where others return no window.
        const error = typeof thrown?.code === "string" ? thrown : blocked(thrown);
        if (error.code === INVALID_OPTIONS) {
          reject(error);
          settle();
        } else fail(error);
      });
    }),
    _isOpen: () => live && popup && !popup.closed,
    _focus: () => popup!.focus(),
    _cancel(tellExit) {
      if (live && session) ask(session, { cursor, cancel: true }, log);
      tellExit ? exit() : settle();
    },
  };
}
