/** What the page keeps over a reload, in localStorage. Works without it too: private windows may refuse. */

const PREFIX = "assistant.";

export type Kept = "session" | "draft" | "unsent" | "show-weights";

/** Keep a value; null forgets it. */
export function remember(name: Kept, value: unknown): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works, it only forgets.
  }
}

export function readJson<T>(name: Kept, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}
