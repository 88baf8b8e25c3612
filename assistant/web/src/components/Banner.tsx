import type { Chat, Snapshot } from "../chat";
import { CloseIcon } from "./Icons";

/** What the user should know now: the connection is gone, or something that the server said. */
export function Banner({ chat, snapshot: { status, notice } }: { chat: Chat; snapshot: Snapshot }) {
  if (status.state === "offline")
    return (
      <div className="banner late" data-kind="offline">
        <p>
          {status.reason ?? "Not connected."} {!status.stopped && "Trying again…"}
        </p>
        <button type="button" className="link" onClick={() => chat.connection.wake()}>
          {status.stopped ? "Connect again" : "Try now"}
        </button>
      </div>
    );
  if (!notice) return null;
  return (
    <div className="banner" data-kind="notice" data-testid="notice">
      <p>{notice}</p>
      <button type="button" className="icon-button small" aria-label="Dismiss" onClick={() => chat.dismissNotice()}>
        <CloseIcon />
      </button>
    </div>
  );
}
