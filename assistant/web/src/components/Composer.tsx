import { type KeyboardEvent, type Ref, useEffect, useId, useImperativeHandle, useLayoutEffect, useRef, useState } from "react";

import { atHand, type Chat, type Snapshot } from "../chat";
import { matchingCommands, type SlashCommand } from "../commands";
import { AttachmentList } from "./AttachmentList";
import { CommandHints } from "./CommandHints";
import { PictureIcon, SendIcon, StopIcon } from "./Icons";

interface Props {
  ref: Ref<HTMLTextAreaElement>;
  chat: Chat;
  snapshot: Snapshot;
  draft: string;
  onDraft: (text: string) => void;
  onFiles: (files: File[]) => void;
}

const LONGEST_PX = 220;

/** Where the user writes: text, pictures, send and stop. */
export function Composer({ ref, chat, snapshot, draft, onDraft, onFiles }: Props) {
  const textarea = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const hintsId = useId();
  const [chosen, setChosen] = useState(0);
  const [dismissed, setDismissed] = useState(false);
  useImperativeHandle(ref, () => textarea.current!, []);
  useGrowing(textarea, draft);
  useInitialFocus(textarea);

  const { editing, sendWhenReady, stopping, conversation } = snapshot;
  const attachments = atHand(snapshot);
  const hints = dismissed ? [] : matchingCommands(draft);
  const index = Math.min(chosen, Math.max(0, hints.length - 1));
  const busy = chat.busy;
  const failed = attachments.some((a) => a.state === "error");
  const empty = draft.trim() === "" && attachments.length === 0;

  useEffect(() => {
    chat.onSent = () => onDraft("");
  }, [chat, onDraft]);

  const send = (): void => {
    if (chat.send(draft)) onDraft("");
    textarea.current?.focus();
  };
  const stop = (): void => {
    chat.stop();
    textarea.current?.focus();
  };
  const cancelEdit = (): void => {
    chat.cancelEdit();
    textarea.current?.focus();
  };
  const change = (text: string): void => {
    setDismissed(false);
    setChosen(0);
    onDraft(text);
  };
  const complete = ({ name }: SlashCommand): void => {
    change(`${name} `);
    textarea.current?.focus();
  };
  const keyDown = (event: KeyboardEvent): void => {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return; // An input method is at work.
    const hint = hints[index];
    if (hint && handleHintKey(event, hint)) event.preventDefault();
    else if (event.key === "Escape" && editing) cancelEdit();
    else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    }
  };
  const handleHintKey = (event: KeyboardEvent, hint: SlashCommand): boolean => {
    if (event.key === "ArrowDown") setChosen((index + 1) % hints.length);
    else if (event.key === "ArrowUp") setChosen((index + hints.length - 1) % hints.length);
    else if (event.key === "Escape") setDismissed(true);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) complete(hint);
    else return false;
    return true;
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {hints.length > 0 && <CommandHints id={hintsId} commands={hints} chosen={index} onChoose={complete} />}
      {editing && (
        <p className="composer-note editing" data-testid="editing">
          <span>Editing a message. What it was stays, as another version.</span>
          <button type="button" className="link" onClick={cancelEdit}>
            Cancel
          </button>
        </p>
      )}
      <AttachmentList attachments={attachments} onRemove={(key) => (chat.detach(key), textarea.current?.focus())} />
      {failed && <p className="composer-note warn">Remove the picture that could not be sent, then send the message.</p>}
      {sendWhenReady && <p className="composer-note">Sends when {conversation.sessionId === null ? "connected" : "the pictures are up"}.</p>}
      <div className="composer-row">
        <button type="button" className="icon-button" aria-label="Attach pictures" onClick={() => picker.current?.click()}>
          <PictureIcon />
        </button>
        <input
          ref={picker}
          className="sr-only"
          type="file"
          accept="image/*"
          multiple
          tabIndex={-1}
          aria-hidden="true"
          data-testid="file-input"
          onChange={(event) => {
            onFiles([...(event.target.files ?? [])]);
            event.target.value = "";
          }}
        />
        <textarea
          ref={textarea}
          data-testid="composer"
          aria-label={editing ? "Edited message" : "Message"}
          aria-autocomplete="list"
          aria-controls={hints.length > 0 ? hintsId : undefined}
          aria-activedescendant={hints.length > 0 ? `${hintsId}-${index}` : undefined}
          placeholder="Ask about a picture"
          rows={1}
          enterKeyHint="send"
          value={draft}
          onChange={(event) => change(event.target.value)}
          onKeyDown={keyDown}
        />
        {busy ? (
          <button type="button" className="send" data-testid="stop" aria-label="Stop the answer" disabled={stopping} onClick={stop}>
            <StopIcon />
          </button>
        ) : (
          <button
            type="submit"
            className="send"
            data-testid="send"
            aria-label="Send"
            disabled={empty || failed || sendWhenReady}
          >
            <SendIcon />
          </button>
        )}
      </div>
    </form>
  );
}

/** Let the field grow with its text. */
function useGrowing(textarea: { current: HTMLTextAreaElement | null }, text: string): void {
  useLayoutEffect(() => {
    const element = textarea.current!;
    element.style.height = "auto";
    element.style.height = `${Math.min(LONGEST_PX, element.scrollHeight)}px`;
  }, [textarea, text]);
}

/** Begin in the field, except on touch screens, where the keyboard would cover the page. */
function useInitialFocus(textarea: { current: HTMLTextAreaElement | null }): void {
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) textarea.current?.focus();
  }, [textarea]);
}
