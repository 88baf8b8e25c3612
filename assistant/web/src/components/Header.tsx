import type { Status } from "../connection";
import { ListIcon, LogoIcon, NewIcon } from "./Icons";

const WORDS: Record<Status["state"], string> = { connecting: "Connecting", ready: "Connected", offline: "Offline" };

interface Props {
  status: Status;
  onNew: () => void;
  onList: () => void;
  /** Null where nobody is logged in. */
  onLogOut: (() => void) | null;
}

export function Header({ status, onNew, onList, onLogOut }: Props) {
  return (
    <header className="header">
      <h1 className="brand">
        <LogoIcon />
        Assistant
      </h1>
      <p className="connection" data-testid="connection" data-state={status.state} title={status.reason}>
        <span className="dot" aria-hidden="true" />
        {WORDS[status.state]}
      </p>
      <button type="button" className="quiet" data-testid="list-conversations" onClick={onList} aria-label="Conversations" aria-haspopup="dialog">
        <ListIcon />
        <span className="wide-only">Conversations</span>
      </button>
      <button type="button" className="quiet" data-testid="new-conversation" onClick={onNew} aria-label="New conversation">
        <NewIcon />
        <span className="wide-only">New conversation</span>
      </button>
      {onLogOut && (
        <button type="button" className="quiet" data-testid="log-out" onClick={onLogOut}>
          Log out
        </button>
      )}
    </header>
  );
}
