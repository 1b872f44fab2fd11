import type { AlterError } from "./index";

/** The only failure of a flow for which `open()` rejects; all others go to `onError`. */
export const INVALID_OPTIONS = "invalid_options";

/** An error in the shape that apps get: a plain object, so that it survives JSON and cloning. */
export const failure = (code: string, message: string, details?: Record<string, unknown>): AlterError => ({
  code,
  message,
  ...(details && { details }),
});
