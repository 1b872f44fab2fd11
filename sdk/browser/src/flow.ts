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
import { ask, type Answer } from "./status";

/** Milliseconds, like every time below. */
const BEAT = 250;
const POLL = 1_000;
/** After a sign that something happens, this many polls do not wait for `POLL`, only for the next beat. */
const HURRY = 20;
/** A poll without an answer is repeated after this time; its late answer is ignored. */
const PATIENCE = 30_000;
const TOKEN_WAIT = 60_000;
/** The longest a session can last; holds until the server has named the deadline. */
const LONGEST_SESSION = 3_600_000;

/** After this many failed polls in a row, the server counts as unreachable (some four minutes). */
const FAILURES = 30;
const BACK_OFF = 500;

const NO_TOKEN = "No session token";

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
  let { token } = options;
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
  let hurry = 0;
  let failures = 0;

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
    const complete = { timestamp: new Date().toISOString(), ...metadata };
    log(name, complete);
    tell(options.onEvent, name, complete);
  };

  /** Ends the flow, once, with at most one callback. A popup that `stays` belongs to its own button from now on. */
  const settle = <A extends unknown[]>(stays?: unknown, callback?: (...args: A) => void, ...args: A) => {
    if (popup && !stays) closePopup(popup);
    if (!live) return;
    live = false;
    turn++;
    clearInterval(beat);
    removeEventListener("message", onMessage);
    tell(callback, ...args);
    end();
  };

  const exit = () => {
    if (live) emit("EXIT");
    settle(0, options.onExit);
  };

  const fail = (error: AlterError) => {
    if (live) log(error);
    // Once the popup has been sent to the server, a page in it says what happened.
    settle(session, options.onError, error);
  };

  const onMessage = (event: MessageEvent) => {
    if (answerHello(event, popup!, session!)) hurry = HURRY;
  };

  const launch = async () => {
    // A token that is already here is checked before a window opens for it.
    if (typeof token === "string") readToken(token, pinned);
    popup = openPopup();
    if (!popup || popup.closed) throw failure("popup_blocked", "Popup blocked");
    beat = setInterval(onBeat, BEAT);
    try {
      token = await (typeof token === "function" ? token() : token);
    } catch (cause) {
      throw failure("token_error", NO_TOKEN, { cause });
    }
    const proven = await prove(readToken(token, pinned));
    if (popup.closed) exit();
    if (!live) return;
    session = proven;
    deadline = now() + LONGEST_SESSION;
    addEventListener("message", onMessage);
    enter(popup, proven);
    emit("OPEN");
    end();
  };

  const onBeat = () => {
    const gone = popup!.closed;
    if (now() > deadline) {
      gone ? exit() : fail(session ? failure("session_expired", "Session expired") : failure("token_error", NO_TOKEN));
    } else if (session) {
      if (gone !== closed) {
        closed = gone;
        hurry = HURRY;
        due = 0;
      }
      if (now() > due) poll(session);
    } else if (gone) {
      // No opener policy cuts off a blank window, so this one was closed.
      exit();
    }
  };

  const poll = async (proven: Proven) => {
    const mine = ++turn;
    due = now() + PATIENCE;
    const answer = await ask(proven, { cursor, closed });
    if (mine !== turn) return;
    failures = answer ? 0 : failures + 1;
    due = now() + (failures ? failures * BACK_OFF : hurry-- > 0 ? 0 : POLL);
    if (answer) take(answer);
    else if (failures === FAILURES) fail(failure("network_error", "Server unreachable"));
  };

  const take = (answer: Answer) => {
    const { status, connections } = answer;
    answer.events?.forEach(({ name, metadata }) => emit(name, metadata));
    if (status === "open") {
      cursor = answer.cursor;
      const named = Date.parse(answer.deadline!);
      // If the deadline is past and the server calls the session open, then this clock is wrong.
      if (named > now()) deadline = named;
    } else if (status === "exited") {
      exit();
    } else if (status === "completed" && connections?.length) {
      settle(0, options.onSuccess, connections[0]!, connections);
    } else {
      fail(failure(answer.error || "server_error", answer.message || "", answer.details));
    }
  };

  return {
    _launched: new Promise((resolve, reject) => {
      end = resolve;
      launch().catch((error) => {
        if (error.code === INVALID_OPTIONS) {
          reject(error);
          settle();
        } else fail(error);
      });
    }),
    _isOpen: () => live && popup && !popup.closed,
    _focus: () => popup!.focus(),
    _cancel(tellExit) {
      if (live && session) ask(session, { cursor, cancel: true });
      tellExit ? exit() : settle();
    },
  };
}
