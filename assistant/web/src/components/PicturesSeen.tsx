import type { Chat } from "../chat";
import type { ImageUse } from "../protocol";
import { EyeIcon, WarnIcon } from "./Icons";

const SHOWN_CHARACTERS = 80;

/** Which pictures the answer was made from, and the words read in them. One that the model did not see is named. */
export function PicturesSeen({ chat, images }: { chat: Chat; images: ImageUse[] }) {
  if (images.length === 0) return null;
  const seen = images.filter((i) => i.seen);
  const unseen = images.flatMap((image, index) => (image.seen ? [] : [unseenWords(chat, image, index)]));
  const read = images.flatMap((image) => (image.read ? [image.read] : [])).join("\n\n");
  return (
    <ul className="seen" aria-label="Pictures of this answer">
      {seen.length > 0 && (
        <li title={seen.map(size).join(", ")}>
          <EyeIcon />
          Looked at {seen.length === 1 ? "1 picture" : `${seen.length} pictures`}
        </li>
      )}
      {read !== "" && (
        <li className="read" title={read}>
          Read: “{shortened(read)}”
        </li>
      )}
      {unseen.length > 0 && (
        <li className="warn">
          <WarnIcon />
          Not seen: {unseen.join(", ")}
        </li>
      )}
    </ul>
  );
}

function unseenWords(chat: Chat, { image_id, reason }: ImageUse, index: number): string {
  const name = chat.picture(image_id).name ?? `picture ${index + 1}`;
  return reason ? `${name} (${reason})` : name;
}

/** The beginning of a text, on one line. */
function shortened(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS).trimEnd()}…` : line;
}

function size({ width, height }: ImageUse): string {
  return width && height ? `${width} × ${height}` : "size unknown";
}
