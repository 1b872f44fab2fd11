/**
 * One flow, from the click to the one callback that ends it.
 *
 * A flow is live until `settle` has run, and `settle` runs once. Everything that can end it goes
 * through there: the server's verdict, a failed token, the deadline, `close()`, a later `open()`.
 * A clock beats all the while, so that nothing here can wait for ever on anyone.
 */
import { answerHello, closePopup, enter, makeProof, openPopup, type Proof } from "./door";
import { failure } from "./failure";
import type { AlterError, AlterEventMetadata, AlterEventName, OpenOptions } from "./index";
import { readToken, type Session } from "./session";
import { ask, type Answer } from "./status";

/** All in milliseconds. */
const BEAT = 300;
const POLL = 1_000;
/** After a sign that something happens, each beat polls for this long. */
const HURRY = 5_000;
/** A question without answer is asked again; its late answer is ignored. */
const PATIENCE = 30_000;
const TOKEN_WAIT = 60_000;
/** The longest a session can last; holds until the server has named the deadline. */
const LONGEST_SESSION = 3_600_000;

/** Failed questions in a row until the server counts as unreachable (some four minutes). */
const FAILURES = 30;
const BACK_OFF = 500;

export interface Flow {
  /** As `open()` promises. */
  launched: Promise<void>;
  isOpen(): boolean;
  focus(): void;
  /** Gives the flow up, here and at the server; tells `onExit` only if asked to. */
  cancel(tell?: boolean): void;
}

/** Starts a flow and opens its popup before returning, as long as the caller's click counts. */
export function startFlow(options: OpenOptions, pinned?: string, fallback?: string, debug?: boolean): Flow {
  let live = true;
  let popup: Window | null | undefined;
  let session: Session | undefined;
  let proof: Proof;
  let beat: ReturnType<typeof setInterval>;
  let deadline = Date.now() + TOKEN_WAIT;

  let cursor: unknown;
  let closed = false;
  let turn = 0;
  let due = 0;
  let hurryUntil = 0;
  let failures = 0;

  let resolveLaunched: () => void;
  let rejectLaunched: (error: AlterError) => void;
  const launched = new Promise<void>((resolve, reject) => {
    resolveLaunched = resolve;
    rejectLaunched = reject;
  });

  /** The app's code runs on its own: what it throws is reported as its error and stops nothing here. */
  const tell = <A extends unknown[]>(callback: ((...args: A) => void) | undefined, ...args: A) => {
    if (callback) Promise.resolve().then(() => callback(...args));
  };

  const emit = (name: AlterEventName, metadata?: Partial<AlterEventMetadata>) => {
    const complete = { timestamp: new Date().toISOString(), ...metadata };
    if (debug) console.log("[AlterConnect]", name, complete);
    tell(options.onEvent, name, complete);
  };

  /** Ends the flow. True for the caller that did. */
  const settle = (): boolean => {
    const first = live;
    live = false;
    clearInterval(beat);
    removeEventListener("message", onMessage);
    if (first && popup) closePopup(popup);
    resolveLaunched();
    return first;
  };

  const exit = () => {
    if (settle()) {
      emit("EXIT");
      tell(options.onExit);
    }
  };

  const fail = (error: AlterError) => {
    if (error.code === "invalid_options") rejectLaunched(error);
    else if (live) tell(options.onError, error);
    if (settle() && debug) console.log("[AlterConnect]", error);
  };

  const onMessage = (event: MessageEvent) => {
    answerHello(event, popup!, session!.base, proof);
  };

  const launch = async () => {
    let { token } = options;
    // A token that is already here is looked at before a window is opened for it.
    if (typeof token === "string") readToken(token, pinned, fallback);
    popup = openPopup();
    if (!popup) throw failure("popup_blocked", "The browser blocked the popup");
    beat = setInterval(onBeat, BEAT);
    try {
      token = await (typeof token === "function" ? token() : token);
    } catch (cause) {
      throw failure("token_error", "No session token", { cause });
    }
    const given = readToken(token, pinned, fallback);
    proof = await makeProof();
    if (popup.closed) exit();
    if (!live) return;
    session = given;
    deadline = Date.now() + LONGEST_SESSION;
    addEventListener("message", onMessage);
    enter(popup, given, proof.cb);
    emit("OPEN");
    resolveLaunched();
  };

  const onBeat = () => {
    const now = Date.now();
    const gone = popup!.closed;
    if (now > deadline) {
      fail(session ? failure("session_expired", "The session expired") : failure("token_error", "No session token"));
    } else if (!session) {
      // Nobody can have cut off a blank window: it was closed.
      if (gone) exit();
    } else {
      if (gone !== closed) {
        closed = gone;
        hurryUntil = now + HURRY;
        due = 0;
      }
      if (now >= due) poll(session);
    }
  };

  const poll = async (of: Session) => {
    const mine = ++turn;
    due = Date.now() + PATIENCE;
    let pause;
    try {
      const answer = await ask(of, { cursor, closed });
      if (mine === turn && live) take(answer);
      failures = 0;
      pause = Date.now() < hurryUntil ? 0 : POLL;
    } catch {
      pause = ++failures * BACK_OFF;
    }
    ...
  };
  return { launched, isOpen, focus, cancel };
}
