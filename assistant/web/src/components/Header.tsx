import type { Status } from "../connection";
import { LogoIcon, NewIcon } from "./Icons";

const WORDS: Record<Status["state"], string> = { connecting: "Connecting", ready: "Connected", offline: "Offline" };

export function Header({ status, onNew }: { status: Status; onNew: () => void }) {
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
      <button type="button" className="quiet" data-testid="new-conversation" onClick={onNew} aria-label="New conversation">
        <NewIcon />
        <span className="wide-only">New conversation</span>
      </button>
    </header>
  );
}
