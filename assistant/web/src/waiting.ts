/** When to try again, in words: rounded up, and only where the sentence does not say it itself. */
export function withTime(message: string, retryAfter: number | null | undefined): string {
  if (retryAfter == null || / in \d+ (s|min|h)\.$/.test(message)) return message;
  return `${message} Try again in ${duration(retryAfter)}.`;
}

/** A time for a person: 12 s, 3 min, 2 h. */
export function duration(seconds: number): string {
  if (seconds <= 120) return `${Math.max(Math.ceil(seconds), 1)} s`;
  if (seconds <= 7200) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.ceil(seconds / 3600)} h`;
}
