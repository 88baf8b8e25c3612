import type { Chat } from "../chat";
import type { UserEntry } from "../conversation";
import { Picture } from "./Picture";

interface Props {
  chat: Chat;
  entry: UserEntry;
  /** A refused message goes back to the composer. */
  onEdit: (text: string) => void;
}

export function UserMessage({ chat, entry, onEdit }: Props) {
  return (
    <article className="message user" data-testid="message-user" data-status={entry.state} aria-label="You">
      {entry.images.length > 0 && (
        <div className="pictures">
          {entry.images.map((image, index) => (
            <Picture key={image.image_id + index} image={image} number={index + 1} {...chat.picture(image.image_id)} />
          ))}
        </div>
      )}
      {entry.text !== "" && <p className="bubble">{entry.text}</p>}
      {entry.state === "refused" && (
        <div className="trouble">
          <p>Not sent: {entry.error}</p>
          <button type="button" className="link" onClick={() => chat.again(entry.key, entry)}>
            Try again
          </button>
          <button type="button" className="link" onClick={() => onEdit(chat.takeBack(entry))}>
            Edit
          </button>
        </div>
      )}
    </article>
  );
}
