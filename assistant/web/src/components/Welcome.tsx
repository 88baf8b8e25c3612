import { useId } from "react";

import { COMMANDS } from "../commands";
import { PictureIcon } from "./Icons";

interface Props {
  onSuggest: (text: string) => void;
  onFiles: (files: File[]) => void;
}

/** What an empty conversation shows: how to begin. */
export function Welcome({ onSuggest, onFiles }: Props) {
  const input = useId();
  return (
    <section className="welcome">
      <label className="invitation" htmlFor={input}>
        <span className="invitation-icon">
          <PictureIcon />
        </span>
        <strong>Send a picture, ask about it</strong>
        <span className="hint">Drop it anywhere, paste it, or choose a file</span>
      </label>
      <input
        id={input}
        className="sr-only"
        type="file"
        accept="image/*"
        multiple
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])]);
          event.target.value = "";
        }}
      />
      <ul className="suggestions" aria-label="Commands">
        {COMMANDS.map(({ name, help }) => (
          <li key={name}>
            <button type="button" onClick={() => onSuggest(`${name} `)}>
              <code>{name}</code>
              <span>{help}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
