/** The status channel: one question to the server, one answer. What follows from it is `flow.ts`'s. */
import type { AlterEventMetadata, AlterEventName, Connection } from "./index";
import type { Proven } from "./door";

/** What this page knows and the server does not. */
export interface Report {
  /** Position in the event list, as last answered. */
  cursor?: unknown;
  /** The popup looks closed. A hint: a window cut off by an opener policy looks the same. */
  closed?: boolean;
  /** The app gave the flow up. */
  cancel?: boolean;
}

export interface Answer {
  status?: "open" | "completed" | "failed" | "exited";
  cursor?: unknown;
  /** ISO 8601; the flow is over then at the latest. */
  deadline?: string;
  events?: { name: AlterEventName; metadata?: Partial<AlterEventMetadata> }[];
  connections?: Connection[];
  error?: string;
  message?: string;
  details?: Record<string, unknown>;
}

/** Refusals that may pass by themselves (408, 429) are not among these. */
const FINAL = /^4(?!08|29)/;

/**
 * Asks once. A refusal that names its error is an answer too, without `status`. Nothing comes back
 * where asking again may help: no network, a failing server, too many requests, not JSON.
 *
 * `cb` says which flow asks: a token that was used before belongs to another one.
 *
 * A string goes out as `text/plain`, which needs no preflight. `keepalive` lets a `cancel` get out of
 * a page that is just being left.
 */
export async function ask({ _base, _token, _cb }: Proven, report: Report): Promise<Answer | undefined> {
  try {
    const response = await fetch(_base + "/connect/status", {
      method: "post",
      body: JSON.stringify({ session_token: _token, cb: _cb, ...report }),
      credentials: "omit",
      keepalive: true,
    });
    const answer = await response.json();
    if (response.ok || (FINAL.test(response.status as never) && answer.error)) return answer;
  } catch {
    // As good as no answer.
  }
}
