import { useCallback, useRef, useState, useSyncExternalStore } from "react";

import type { Chat } from "./chat";
import type { UserEntry } from "./conversation";
import { Announcer } from "./components/Announcer";
import { Composer } from "./components/Composer";
import { Conversations } from "./components/Conversations";
import { ConversationView } from "./components/ConversationView";
import { Header } from "./components/Header";
import { Banner } from "./components/Banner";
import { Login } from "./components/Login";
import { Welcome } from "./components/Welcome";
import { useFileDrop, usePastedFiles } from "./files";
import { readJson, remember } from "./memory";

export function App({ chat }: { chat: Chat }) {
  const snapshot = useSyncExternalStore(chat.subscribe, chat.getSnapshot);
  const [draft, setDraft] = useState(() => readJson("draft", ""));
  const [edited, setEdited] = useState("");
  const [listing, setListing] = useState(false);
  const composer = useRef<HTMLTextAreaElement>(null);

  const isEditing = snapshot.editing !== null;
  const changeDraft = useCallback(
    (text: string) => {
      if (isEditing) setEdited(text);
      else {
        setDraft(text);
        remember("draft", text || null);
      }
      chat.edited();
    },
    [chat, isEditing],
  );
  const attach = useCallback(
    (files: File[]) => {
      chat.attach(files);
      composer.current?.focus();
    },
    [chat],
  );
  const { dragging, handlers } = useFileDrop(attach);
  usePastedFiles(attach);

  const suggest = (text: string): void => {
    changeDraft(text);
    composer.current?.focus();
  };
  const edit = (entry: UserEntry): void => {
    chat.edit(entry);
    setEdited(entry.text);
    composer.current?.focus();
  };
  const isEmpty = snapshot.conversation.entries.length === 0;
  const startNew = (): void => {
    if (!isEmpty || snapshot.attachments.length > 0) chat.newConversation();
    composer.current?.focus();
  };
  const logOut = (): void => {
    // Loaded anew, the page holds nothing of whoever was here.
    void chat.logOut().then((done) => done && location.reload());
  };

  return (
    <div className="app" data-testid="drop-zone" data-dragging={dragging} {...handlers}>
      <Header status={snapshot.status} onNew={startNew} onList={() => setListing(true)} onLogOut={chat.isLoggedIn ? logOut : null} />
      <ConversationView chat={chat} snapshot={snapshot} onEdit={edit}>
        {isEmpty && <Welcome onSuggest={suggest} onFiles={attach} />}
      </ConversationView>
      <footer className="dock">
        {snapshot.status.wantsKey ? (
          <Login chat={chat} reason={snapshot.status.reason} />
        ) : (
          <>
            <Banner chat={chat} snapshot={snapshot} />
            <Composer ref={composer} chat={chat} snapshot={snapshot} draft={isEditing ? edited : draft} onDraft={changeDraft} onFiles={attach} />
          </>
        )}
      </footer>
      {dragging && (
        <div className="drop-veil" aria-hidden="true">
          <p>Drop pictures to attach them</p>
        </div>
      )}
      {listing && <Conversations chat={chat} current={snapshot.conversation.sessionId} onClose={() => setListing(false)} />}
      <Announcer text={snapshot.announcement} />
    </div>
  );
}
