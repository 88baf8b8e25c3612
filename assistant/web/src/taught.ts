/** What the user teaches: `/remember`, `/memories` and `/forget`, carried out beside the conversation. */

import type { Ack, Command, Remembered } from "./protocol";

/** The commands that a text stands for, with the pictures it is about; null where it is none of the memory's. */
export function memoryCommands(text: string, images: string[]): Command[] | null {
  const [, name, said = ""] = /^\/(remember|memories|forget)(?:\s+([^]*))?$/.exec(text) ?? [];
  switch (name) {
    case "remember":
      return images.map((image_id) => ({ type: "memory.add", image_id, text: said }));
    case "memories":
      return [{ type: "memory.list" }];
    case "forget":
      return [{ type: "memory.remove", memory: said }];
    default:
      return null;
  }
}

/** What to tell of an answer. */
export function memoryWords({ memory, memories, removed }: Ack): string {
  if (memory) return `Remembered: ${memory.text}`;
  if (removed) return `Forgotten: ${names(removed)}`;
  return memories?.length ? `Taught so far: ${names(memories)}` : "Nothing was taught yet. Attach a picture and write: /remember this is our dog Rex";
}

function names(memories: Remembered[]): string {
  return [...new Set(memories.map((m) => m.text))].join(", ");
}
