import { type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

import { branch } from "../branches";
import type { Chat, Snapshot } from "../chat";
import { unanswered, type UserEntry } from "../conversation";
import { readJson, remember } from "../memory";
import { AnswerMessage, Working } from "./AnswerMessage";
import { DownIcon } from "./Icons";
import { UserMessage } from "./UserMessage";

const NEAR_END_PX = 48;

interface Props {
  chat: Chat;
  snapshot: Snapshot;
  onEdit: (entry: UserEntry) => void;
  /** What an empty conversation shows. */
  children: ReactNode;
}

/** The messages of one branch. Follows the end while the reader is there, and leaves a reader who scrolled up alone. */
export function ConversationView({ chat, snapshot, onEdit, children }: Props) {
  const shown = branch(snapshot.conversation);
  const [showWeights, setShowWeights] = useState(() => readJson("show-weights", true));
  const waiting = unanswered(snapshot.conversation);
  const { scroller, content, atEnd, toEnd } = useFollowEnd(waiting?.key ?? null, snapshot.conversation.chosen);

  const toggleWeights = useCallback(() => setShowWeights((on) => !on), []);
  useEffect(() => remember("show-weights", showWeights), [showWeights]);

  return (
    <main className="scroller" ref={scroller} tabIndex={0} aria-label="Conversation">
      <div className="column" ref={content}>
        {children}
        {shown.map(({ entry, place, ...numbers }) =>
          // Named by its place, a message that takes another's keeps the focus where it was.
          entry.kind === "user" ? (
            <UserMessage key={place} chat={chat} entry={entry} {...numbers} editing={snapshot.editing?.key === entry.key} onEdit={onEdit} />
          ) : (
            <AnswerMessage key={place} chat={chat} entry={entry} {...numbers} canAsk={!chat.busy} showWeights={showWeights} onToggleWeights={toggleWeights} />
          ),
        )}
        {waiting && shown.at(-1)?.entry === waiting && snapshot.status.state === "ready" && <Working activity={null} />}
      </div>
      {!atEnd && (
        <button type="button" className="to-end" onClick={toEnd}>
          <DownIcon />
          <span className="sr-only">Go to the newest message</span>
        </button>
      )}
    </main>
  );
}

/**
 * Keep a scroller at its end while it is there; a new `sendKey` (the user sent something) takes it there, and a new
 * `chosen` (another version is shown) lets it stay where it is.
 */
function useFollowEnd(sendKey: string | null, chosen: string | null) {
  const scroller = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = (): void => {
    following.current = true;
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  };

  useEffect(() => {
    const element = scroller.current!;
    let top = 0;
    const scrolled = (): void => {
      const near = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
      // Only going up is leaving: content that grew below is followed.
      if (near) following.current = true;
      else if (element.scrollTop < top) following.current = false;
      top = element.scrollTop;
      setAtEnd(following.current);
    };
    const grown = new ResizeObserver(() => {
      if (following.current) toEnd();
      scrolled();
    });
    element.addEventListener("scroll", scrolled, { passive: true });
    grown.observe(content.current!);
    grown.observe(element);
    return () => {
      element.removeEventListener("scroll", scrolled);
      grown.disconnect();
    };
  }, []);

  useLayoutEffect(() => {
    if (chosen !== null) following.current = false;
  }, [chosen]);

  useLayoutEffect(() => {
    if (sendKey !== null) toEnd();
  }, [sendKey]);

  return { scroller, content, atEnd, toEnd };
}
