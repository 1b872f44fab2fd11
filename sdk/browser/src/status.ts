/** The words between a flow and the server: one question, one answer. `flow.ts` asks, and decides what follows. */
import type { AlterEventMetadata, AlterEventName, Connection } from "./index";

/** What this page knows and the server does not. */
export interface Report {
  /** Position in the event list, from the server's last answer. */
  cursor: unknown;
  /** The popup looks closed. Only a hint: a window cut off by an opener policy looks the same. */
  closed?: boolean;
  /** The app ended the flow. */
  cancel?: boolean;
  /** Seconds in which the server may wait for news. */
  wait?: number;
}

export interface Answer {
  status?: "open" | "pending" | "completed" | "failed" | "exited";
  cursor?: unknown;
  /** ISO 8601. The flow ends at this time at the latest. */
  deadline?: string;
  events?: { name: AlterEventName; metadata?: Partial<AlterEventMetadata> }[];
  connections?: Connection[];
  error?: string;
  message?: string;
  details?: Record<string, unknown>;
}

/** Asks once. Returns `undefined` where asking again may help. */
export type Ask = (report: Report, signal?: AbortSignal) => Promise<Answer | undefined>;

/** Logs for developers, if they asked for it. */
export type Log = (what: unknown, more?: object) => void;

/** Status codes of final refusals. 408 and 429 are not final: the same question may succeed later. */
export const FINAL = /^4(?!08|29)/;
