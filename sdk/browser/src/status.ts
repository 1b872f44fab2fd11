/** The status channel: one question to the server, one answer. What follows from it is `flow.ts`'s. */
import type { AlterEventMetadata, AlterEventName, Connection } from "./index";
import type { Session } from "./session";

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
  status: "open" | "completed" | "failed" | "exited";
  cursor?: unknown;
  /** ISO 8601; the flow is over then at the latest. */
  deadline?: string;
  events?: { name: AlterEventName; metadata?: Partial<AlterEventMetadata> }[];
  connections?: Connection[];
  error?: string;
  message?: string;
  details?: Record<string, unknown>;
}

/**
 * Asks once. A refusal that names its error (4xx) is an answer; what may pass by itself throws: no
 * network, 5xx, 408, 429, something that is not JSON.
 *
 * A string body goes out as `text/plain`, which needs no preflight. `keepalive` lets a `cancel` get
 * out of a page that is just being left.
 */
export async function ask({ base, token }: Session, report: Report): Promise<Answer> {
  const response = await fetch(base + "/connect/status", {
    method: "POST",
    body: JSON.stringify({ session_token: token, ...report }),
    credentials: "omit",
    keepalive: true,
  });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status > 499 || /408|429/.test("" + response.status) || !answer.error) throw answer;
  return { ...answer, status: "failed" };
}
