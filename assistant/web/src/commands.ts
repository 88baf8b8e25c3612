/** The slash commands, as the composer offers them: the server's, and those of the memory (see `taught.ts`). */

export interface SlashCommand {
  name: string;
  usage: string;
  help: string;
}

export const COMMANDS: SlashCommand[] = [
  { name: "/caption", usage: "/caption detailed es", help: "Describe the picture: short, detailed or alt; in en es fr de it pt" },
  { name: "/translate", usage: "/translate es some text", help: "Translate a text, or what is written in a picture" },
  { name: "/summarise", usage: "/summarise some text", help: "Shorten a text, or a photo of a page" },
  { name: "/remember", usage: "/remember this is our dog Rex", help: "Teach what the picture shows" },
  { name: "/memories", usage: "/memories", help: "List what was taught" },
  { name: "/forget", usage: "/forget our dog Rex", help: "Forget what was taught" },
];

/** The commands that the draft may be the beginning of. */
export function matchingCommands(draft: string): SlashCommand[] {
  return /^\/\w*$/.test(draft) ? COMMANDS.filter((c) => c.name.startsWith(draft) && c.name !== draft) : [];
}
