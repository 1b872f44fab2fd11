import type { AlterError } from "./index";

/** The only failure of a flow for which `open()` rejects; all others go to `onError`. */
export const INVALID_OPTIONS = "invalid_options";

/**
 * An `Error` with the fields that apps get. Assigned, and not passed on, the message survives JSON as well. The README
 * has a sentence for each code; a message here says only what a code does not.
 */
export const failure = (code: string, message = code, details?: AlterError["details"]): AlterError =>
  Object.assign(new Error(), { code, message, details });

export const invalid = (message: string): AlterError => failure(INVALID_OPTIONS, message);
