/** The slash commands that the server knows, as the composer offers them. */

export interface SlashCommand {
  name: string;
  usage: string;
  help: string;
}

export const COMMANDS: SlashCommand[] = [
  { name: "/caption", usage: "/caption", help: "Describe the picture in one sentence" },
  { name: "/translate", usage: "/translate es some text", help: "Translate a text, or what is written in a picture" },
  { name: "/summarise", usage: "/summarise some text", help: "Shorten a text, or a photo of a page" },
];

/** The commands that the draft may be the beginning of. */
export function matchingCommands(draft: string): SlashCommand[] {
  return /^\/\w*$/.test(draft) ? COMMANDS.filter((c) => c.name.startsWith(draft) && c.name !== draft) : [];
}
