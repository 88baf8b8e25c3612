/**
 * Which messages are shown: those of a conversation are a tree, and the reader sees one way through it.
 *
 * A message hangs on its `parent`. The current branch is the one that ends with the newest message that nothing follows,
 * unless the reader chose another version of a message. Knows nothing of events or of how messages look.
 */

import { type Conversation, type Entry, isInLog } from "./conversation";
import { ROOT } from "./protocol";

/** A message of the branch, as one of the versions that have the same place. */
export interface Shown {
  entry: Entry;
  /** Names the place in the conversation; the same for all versions. */
  place: string;
  /** Counts from 1. */
  version: number;
  versions: number;
}

type Links = Map<Entry, Entry | null>;

/** The messages to show, from the beginning. */
export function branch(state: Conversation): Shown[] {
  const links = linked(state.entries);
  return way(links, state.chosen).map((entry) => {
    const before = links.get(entry) ?? null;
    const versions = versionsOf(entry, links);
    const place = `${before ? nameOf(before) : ROOT} ${entry.kind}`;
    return { entry, place, version: versions.indexOf(entry) + 1, versions: versions.length };
  });
}

/** The version of a message that is `step` further, or null where there is none. */
export function otherVersion({ entries }: Conversation, key: string, step: number): { entry: Entry; version: number; versions: number } | null {
  const links = linked(entries);
  const from = entries.find((e) => e.key === key);
  if (!from) return null;
  const versions = versionsOf(from, links);
  const index = versions.indexOf(from) + step;
  const entry = versions[index];
  return entry ? { entry, version: index + 1, versions: versions.length } : null;
}

/** The `parent` of a message that is sent now; undefined where the server goes on there by itself. */
export function nextParent(state: Conversation): string | undefined {
  const end = branch(state).findLast(({ entry }) => isInLog(entry))?.entry;
  const newest = way(linked(state.entries.filter(isInLog)), null).at(-1);
  return end === newest ? undefined : idInLog(end ?? null, state.entries);
}

/** The `parent` of another version of this message; undefined where it was to follow wherever the conversation was. */
export function parentOf({ entries }: Conversation, key: string): string | undefined {
  const entry = entries.find((e) => e.key === key);
  return entry?.parent === undefined ? undefined : idInLog(linked(entries).get(entry) ?? null, entries);
}

// -- the tree

/** What each entry follows. What was sent without a parent comes, one after another, after the newest branch. */
function linked(entries: Entry[]): Links {
  const known = new Map(entries.map((entry) => [idOf(entry), entry]));
  const hanging = entries.filter((e) => e.parent !== undefined);
  const links: Links = new Map(hanging.map((entry) => [entry, find(known, entry.parent ?? null)]));
  let end = way(new Map([...links].filter(([entry]) => isInLog(entry))), null).at(-1) ?? null;
  for (const entry of entries.filter((e) => e.parent === undefined)) {
    links.set(entry, end);
    end = entry;
  }
  return new Map(entries.map((entry) => [entry, links.get(entry) ?? null]));
}

/** From the beginning to the newest entry that nothing follows; where one is chosen, through that. */
function way(links: Links, chosen: string | null): Entry[] {
  const followed = new Set(links.values());
  const ways = [...links.keys()].filter((entry) => !followed.has(entry)).map((end) => pathTo(end, links));
  return ways.findLast((path) => path.some((e) => e.key === chosen)) ?? ways.at(-1) ?? [];
}

function pathTo(end: Entry, links: Links): Entry[] {
  const path: Entry[] = [];
  for (let entry: Entry | null = end; entry; entry = links.get(entry) ?? null) path.push(entry);
  return path.reverse();
}

function versionsOf(entry: Entry, links: Links): Entry[] {
  const before = links.get(entry);
  return [...links.keys()].filter((other) => links.get(other) === before);
}

/** The message of this id; where it is an answer that never came, its question. */
function find(known: Map<string | null, Entry>, id: string | null): Entry | null {
  if (id === null) return null;
  return known.get(id) ?? known.get(id.split(".", 1)[0]!) ?? null;
}

/** An answer has its id before it is there. */
function idOf(entry: Entry): string | null {
  if (entry.kind === "answer" && entry.messageId === null) return `${entry.parent}.${entry.turnId}`;
  return entry.messageId;
}

function nameOf(entry: Entry): string {
  return entry.messageId ?? (entry.kind === "answer" && entry.turnId !== null ? idOf(entry)! : entry.key);
}

/** How a command names the message; in the place of an answer without a message, its question. */
function idInLog(entry: Entry | null, entries: Entry[]): string {
  const named = entry?.kind === "answer" && entry.messageId === null ? entries.find((e) => e.messageId === entry.parent) : entry;
  return named?.messageId ?? ROOT;
}
