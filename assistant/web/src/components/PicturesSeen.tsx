import type { Chat } from "../chat";
import type { ImageUse } from "../protocol";
import { EyeIcon, WarnIcon } from "./Icons";

/** Which pictures the answer was made from. One that the model did not see is named. */
export function PicturesSeen({ chat, images }: { chat: Chat; images: ImageUse[] }) {
  if (images.length === 0) return null;
  const seen = images.filter((i) => i.seen);
  const unseen = images.flatMap((image, index) => (image.seen ? [] : [unseenWords(chat, image, index)]));
  return (
    <ul className="seen" aria-label="Pictures of this answer">
      {seen.length > 0 && (
        <li title={seen.map(size).join(", ")}>
          <EyeIcon />
          Looked at {seen.length === 1 ? "1 picture" : `${seen.length} pictures`}
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

function size({ width, height }: ImageUse): string {
  return width && height ? `${width} × ${height}` : "size unknown";
}
