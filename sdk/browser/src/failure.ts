import type { AlterError } from "./index";

/** The only failure of a flow for which `open()` rejects; all others go to `onError`. */
export const INVALID_OPTIONS = "invalid_options";

/** An `Error` with the fields that apps get. Assigned, and not passed on, the message survives JSON as well. */
export const failure = (code: string, message: string, details?: Record<string, unknown>): AlterError =>
  Object.assign(new Error(), { code, message, ...(details && { details }) });
