/** Errors in words for a person, which say what to do. */

import { CommandError } from "./connection";
import { FileRefused } from "./upload";
import { withTime } from "./waiting";

export function words(error: unknown): string {
  if (error instanceof CommandError) return withTime(error.message, error.retryAfter);
  if (error instanceof FileRefused) return error.message;
  return "This file could not be read."; // The rest is the browser's: the file moved, or may not be read.
}
