import type { Chat } from "../chat";
import type { UserEntry } from "../conversation";
import { EditIcon } from "./Icons";
import { Picture } from "./Picture";
import { Versions } from "./Versions";

interface Props {
  chat: Chat;
  entry: UserEntry;
  version: number;
  versions: number;
  /** It is in the composer. */
  editing: boolean;
  onEdit: (entry: UserEntry) => void;
}

export function UserMessage({ chat, entry, version, versions, editing, onEdit }: Props) {
  return (
    <article className="message user" data-testid="message-user" data-status={entry.state} data-editing={editing} aria-label="You">
      {entry.images.length > 0 && (
        <div className="pictures">
          {entry.images.map((image, index) => (
            <Picture key={image.image_id + index} image={image} number={index + 1} {...chat.picture(image.image_id)} />
          ))}
        </div>
      )}
      {entry.text !== "" && <p className="bubble">{entry.text}</p>}
      {entry.state === "refused" && <Refused chat={chat} entry={entry} onEdit={onEdit} />}
      <footer className="message-foot">
        <Versions chat={chat} entry={entry} version={version} versions={versions} />
        {entry.state === "sent" && (
          <button type="button" className="foot-button" onClick={() => onEdit(entry)}>
            <EditIcon />
            Edit
          </button>
        )}
      </footer>
    </article>
  );
}

function Refused({ chat, entry, onEdit }: Pick<Props, "chat" | "entry" | "onEdit">) {
  return (
    <div className="trouble">
      <p>Not sent: {entry.error}</p>
      <button type="button" className="link" onClick={() => chat.again(entry)}>
        Try again
      </button>
      <button type="button" className="link" onClick={() => onEdit(entry)}>
        Edit
      </button>
      <button type="button" className="link" onClick={() => chat.discardRefused(entry.key)}>
        Discard
      </button>
    </div>
  );
}
