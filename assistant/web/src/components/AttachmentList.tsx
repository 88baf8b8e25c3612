import { useState } from "react";

import type { Attachment } from "../attachments";
import { CloseIcon, PictureIcon, WarnIcon } from "./Icons";

/** The pictures that go with the next message. */
export function AttachmentList({ attachments, onRemove }: { attachments: Attachment[]; onRemove: (key: string) => void }) {
  if (attachments.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Pictures to send">
      {attachments.map((attachment) => (
        <Item key={attachment.key} attachment={attachment} onRemove={onRemove} />
      ))}
    </ul>
  );
}

function Item({ attachment: { key, name, url, state, progress, error }, onRemove }: { attachment: Attachment; onRemove: (key: string) => void }) {
  const [broken, setBroken] = useState(false);
  return (
    <li className="attachment" data-testid="attachment" data-state={state}>
      <div className="thumb">
        {broken ? <PictureIcon /> : <img src={url} alt="" onError={() => setBroken(true)} />}
        {state === "uploading" && <progress value={progress} max={1} aria-label={`Sending ${name}`} />}
      </div>
      {state === "error" ? (
        <p className="attachment-text warn">
          <strong>
            <WarnIcon />
            {name}
          </strong>
          {error}
        </p>
      ) : (
        <span className="sr-only">
          {name}, {state === "ready" ? "ready" : "sending"}
        </span>
      )}
      <button type="button" className="remove" aria-label={`Remove ${name}`} onClick={() => onRemove(key)}>
        <CloseIcon />
      </button>
    </li>
  );
}
