import { type FormEvent, useCallback, useEffect, useId, useRef, useState } from "react";

import type { Chat } from "../chat";
import { saveFile } from "../files";
import { words } from "../problems";
import type { SessionInfo } from "../protocol";
import { deleteSession, exportSession, listSessions, renameSession } from "../sessions";
import { CloseIcon } from "./Icons";

interface Props {
  chat: Chat;
  current: string | null;
  onClose: () => void;
}

/** The list of conversations, over the page: a modal dialog, so Escape closes it and focus stays inside. */
export function Conversations({ chat, current, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const [sessions, setSessions] = useState<SessionInfo[]>([]);
  const [before, setBefore] = useState<string | null>(null);
  const [state, setState] = useState<"loading" | "ready">("loading");
  const [problem, setProblem] = useState<string | null>(null);

  const attempt = useCallback(async (work: () => Promise<void>): Promise<void> => {
    setProblem(null);
    try {
      await work();
    } catch (error) {
      setProblem(words(error));
    }
  }, []);
  const load = useCallback(
    (from: string | null): Promise<void> =>
      attempt(async () => {
        const page = await listSessions(chat.connection, from);
        setSessions((known) => [...(from === null ? [] : known), ...page.sessions]);
        setBefore(page.before);
        setState("ready");
      }),
    [attempt, chat],
  );

  useEffect(() => {
    dialog.current?.showModal();
    void load(null);
  }, [load]);

  const open = (session: SessionInfo): void => {
    chat.openConversation(session.session_id);
    onClose();
  };
  const rename = (session: SessionInfo, wanted: string): Promise<void> =>
    attempt(async () => {
      const title = await renameSession(chat.connection, session.session_id, wanted);
      setSessions((known) => known.map((s) => (s.session_id === session.session_id ? { ...s, title } : s)));
    });
  const remove = (session: SessionInfo): Promise<void> =>
    attempt(async () => {
      await deleteSession(chat.connection, session.session_id);
      setSessions((known) => known.filter((s) => s.session_id !== session.session_id));
      dialog.current?.focus();
    });
  const download = (session: SessionInfo, format: "json" | "markdown"): Promise<void> =>
    attempt(async () => {
      const text = await exportSession(chat.connection, session.session_id, format);
      saveFile(`${session.title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "conversation"}.${format === "json" ? "json" : "md"}`, text);
    });

  return (
    <dialog ref={dialog} className="conversations" aria-labelledby={heading} onClose={onClose} tabIndex={-1} data-testid="conversations">
      <header>
        <h2 id={heading}>Conversations</h2>
        <button type="button" className="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}>
          <CloseIcon />
        </button>
      </header>
      <p role="status" className={problem ? "problem" : "muted"}>
        {problem ?? (state === "loading" ? "Loading…" : sessions.length === 0 ? "There are none yet." : "")}
      </p>
      <ul>
        {sessions.map((session) => (
          <Row
            key={session.session_id}
            session={session}
            isCurrent={session.session_id === current}
            onOpen={() => open(session)}
            onRename={(title) => rename(session, title)}
            onDelete={() => remove(session)}
            onExport={(format) => download(session, format)}
          />
        ))}
      </ul>
      {before !== null && (
        <button type="button" className="quiet" onClick={() => void load(before)}>
          Show more
        </button>
      )}
    </dialog>
  );
}

interface RowProps {
  session: SessionInfo;
  isCurrent: boolean;
  onOpen: () => void;
  onRename: (title: string) => Promise<void>;
  onDelete: () => Promise<void>;
  onExport: (format: "json" | "markdown") => Promise<void>;
}

/** One conversation; renaming and deleting take the place of its buttons until done or left. */
function Row({ session, isCurrent, onOpen, onRename, onDelete, onExport }: RowProps) {
  const [mode, setMode] = useState<"buttons" | "rename" | "delete">("buttons");
  const leave = (): void => setMode("buttons");
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    void onRename(String(new FormData(event.currentTarget).get("title"))).then(leave);
  };
  return (
    <li aria-current={isCurrent || undefined}>
      <button type="button" className="open" onClick={onOpen}>
        <strong>{session.title}</strong>
        <small>
          <time dateTime={session.updated_at}>{new Date(session.updated_at).toLocaleString()}</time>, {session.messages} messages
          {isCurrent && ", open now"}
        </small>
      </button>
      {mode === "rename" && (
        <form onSubmit={submit}>
          <input name="title" aria-label="New title" defaultValue={session.title} maxLength={200} required autoFocus />
          <button type="submit" className="link">
            Save
          </button>
          <button type="button" className="link" onClick={leave}>
            Cancel
          </button>
        </form>
      )}
      {mode === "delete" && (
        <div role="group" aria-label={`Delete ${session.title}?`}>
          <span>Delete it and its pictures for good?</span>
          <button type="button" className="link danger" onClick={() => void onDelete()}>
            Delete
          </button>
          <button type="button" className="link" onClick={leave} autoFocus>
            Keep
          </button>
        </div>
      )}
      {mode === "buttons" && (
        <div role="group" aria-label={`For ${session.title}`}>
          <button type="button" className="link" onClick={() => setMode("rename")}>
            Rename
          </button>
          <button type="button" className="link" onClick={() => void onExport("markdown")}>
            Export Markdown
          </button>
          <button type="button" className="link" onClick={() => void onExport("json")}>
            Export JSON
          </button>
          <button type="button" className="link danger" onClick={() => setMode("delete")}>
            Delete
          </button>
        </div>
      )}
    </li>
  );
}
