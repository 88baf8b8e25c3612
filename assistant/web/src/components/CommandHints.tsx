import type { SlashCommand } from "../commands";

interface Props {
  id: string;
  commands: SlashCommand[];
  chosen: number;
  onChoose: (command: SlashCommand) => void;
}

/** The commands that the draft may become; the text field keeps the focus. */
export function CommandHints({ id, commands, chosen, onChoose }: Props) {
  return (
    <ul className="command-hints" id={id} role="listbox" aria-label="Commands" data-testid="command-hints">
      {commands.map((command, index) => (
        <li
          key={command.name}
          id={`${id}-${index}`}
          role="option"
          aria-selected={index === chosen}
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => onChoose(command)}
        >
          <code>{command.usage}</code>
          <span>{command.help}</span>
        </li>
      ))}
    </ul>
  );
}
