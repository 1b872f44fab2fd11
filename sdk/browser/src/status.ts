/** The status channel: one question to the server, one answer. `flow.ts` decides what follows. */
import type { AlterEventMetadata, AlterEventName, Connection } from "./index";
import type { Proven } from "./door";

export const STATUS = "/connect/status";

/** What this page knows and the server does not. */
export interface Report {
  /** Position in the event list, from the server's last answer. */
  cursor?: unknown;
  /** The popup looks closed. Only a hint: a window cut off by an opener policy looks the same. */
  closed?: boolean;
  /** The app ended the flow. */
  cancel?: boolean;
  /** Seconds in which the server may wait for news. */
  wait?: number;
}

export interface Answer {
  status?: "open" | "completed" | "failed" | "exited";
  cursor?: unknown;
  /** ISO 8601. The flow ends at this time at the latest. */
  deadline?: string;
  events?: { name: AlterEventName; metadata?: Partial<AlterEventMetadata> }[];
  connections?: Connection[];
  error?: string;
  message?: string;
  details?: Record<string, unknown>;
}

/** Status codes of final refusals. 408 and 429 are not final: the same question may succeed later. */
const FINAL = /^4(?!08|29)/;

/**
 * Asks once. A final refusal that names its error is an answer too, without `status`. Returns
 * `undefined` where asking again may help: no network, a failing server, too many requests, not JSON.
 * `refused` hears of every call that brought no good answer; without a status code, the browser let none through.
 *
 * `cb` says which flow asks: a token that was used before belongs to another flow.
 *
 * A string goes out as `text/plain`, which needs no preflight. `keepalive` lets a `cancel` go out
 * while the user leaves the page; a question that waits ends with the page, or with its `signal`.
 */
export async function ask(
  { _base, _token, _cb }: Proven,
  report: Report,
  refused: (what: string, more: object) => void,
  signal?: AbortSignal,
): Promise<Answer | undefined> {
  let status, answer;
  try {
    const response = await fetch(_base + STATUS, {
      method: "post",
      body: JSON.stringify({ session_token: _token, cb: _cb, ...report }),
      credentials: "omit",
      keepalive: report.cancel,
      signal,
    });
    status = response.status;
    answer = await response.json();
    if (response.ok && answer) return answer;
  } catch {
    // The same as no answer.
  }
  signal?.aborted || refused("refused", { status, page: origin, server: _base });
  if (FINAL.test(status as never) && answer?.error) return answer;
}
