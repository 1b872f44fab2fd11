import type { AlterError } from "./index";

/** An error in the shape that apps get: a plain object, so that it survives JSON and cloning. */
export const failure = (code: string, message: string, details?: Record<string, unknown>): AlterError =>
  details ? { code, message, details } : { code, message };
