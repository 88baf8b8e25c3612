import type { KeyboardEvent } from "react";

import type { Shown } from "../branches";
import type { Chat } from "../chat";
import { NextIcon, PreviousIcon } from "./Icons";

/** Which of the versions of a message is shown, and the way to the others: by buttons or arrow keys. */
export function Versions({ chat, entry, version, versions }: { chat: Chat } & Omit<Shown, "place">) {
  if (versions < 2) return null;
  const step = (by: number): void => chat.showVersion(entry.key, by);
  const keyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else return;
    event.preventDefault();
  };
  // A button that became disabled would lose the focus.
  return (
    <span className="versions" role="group" aria-label={`Versions of this ${entry.kind === "user" ? "message" : "answer"}`} onKeyDown={keyDown}>
      <button type="button" className="foot-button" aria-label="Previous version" aria-disabled={version === 1} onClick={() => step(-1)}>
        <PreviousIcon />
      </button>
      <span>
        {version} of {versions}
      </span>
      <button type="button" className="foot-button" aria-label="Next version" aria-disabled={version === versions} onClick={() => step(1)}>
        <NextIcon />
      </button>
    </span>
  );
}
