/**
 * What the page knows of a conversation, as a pure function of the session's events and the user's own submissions: all its
 * messages, in the order of the log, with what each follows. Which of them are shown is said by `branches.ts`.
 *
 * The log is the truth: events at or before the last `seq` are dropped, and a committed message replaces the text that
 * its deltas built. Knows nothing of sockets, React or time.
 */

import { type Cursor, type Failure, type ImagePart, type ImageUse, type Message, type Part, ROOT, type SessionEvent, type ToolCallPart, type ToolResultPart, type Usage } from "./protocol";
import { place, type WeightedRange } from "./weights";

/** A picture of a message; its size is known once the log has it. */
export type MessageImage = Pick<ImagePart, "image_id"> & Partial<ImagePart>;

/** A message of the user: `sending` until the log has it. */
export interface UserEntry {
  kind: "user";
  key: string;
  state: "sending" | "sent" | "refused";
  messageId: string | null;
  /** The message before it, null at the beginning; undefined (not in the log) wherever the conversation is. */
  parent: string | null | undefined;
  turnId: string | null;
  text: string;
  images: MessageImage[];
  /** Why the server refused it. */
  error: string | null;
}

export type AnswerStatus = "waiting" | "streaming" | "completed" | "cancelled" | "failed" | "length";

export interface AnswerEntry {
  kind: "answer";
  key: string;
  /** Null until the message is in the log. */
  messageId: string | null;
  /** The message that it answers. */
  parent: string | null;
  /** Null until the server has taken the wish for another answer. */
  turnId: string | null;
  status: AnswerStatus;
  text: string;
  tools: (ToolCallPart | ToolResultPart)[];
  weights: WeightedRange[];
  images: ImageUse[];
  usage: Usage | null;
  error: Failure | null;
  /** What the reader should know of it. */
  notes: string[];
  /** What is going on before and between deltas. */
  activity: Activity | null;
}

export type Activity = { stage: "queued"; position: number } | { stage: "tool"; name: string } | { stage: string; done: number | null; total: number | null };

export type Entry = UserEntry | AnswerEntry;

export interface Conversation {
  sessionId: string | null;
  cursor: Cursor | null;
  /** All messages, of all branches. */
  entries: Entry[];
  /** Key of the message through which the reader wants to see; null: the newest branch. */
  chosen: string | null;
}

/** A turn that the server may not have yet. */
export interface Submission {
  clientMessageId: string;
  text: string;
  images: MessageImage[];
  /** The message to go on after, or `root`; absent: wherever the conversation is. */
  parent?: string | undefined;
  /** The message to answer again, in the place of a message. */
  regenerates?: string;
}

export type Action =
  | { type: "opened"; sessionId: string; cursor: Cursor }
  | { type: "event"; event: SessionEvent }
  | { type: "submitted"; submission: Submission }
  | { type: "acknowledged"; clientMessageId: string; messageId: string; turnId: string }
  | { type: "refused"; clientMessageId: string; message: string }
  | { type: "discarded"; clientMessageId: string }
  | { type: "chosen"; key: string };

export const EMPTY: Conversation = { sessionId: null, cursor: null, entries: [], chosen: null };

export function reduce(state: Conversation, action: Action): Conversation {
  switch (action.type) {
    case "opened":
      return opened(state, action.sessionId, action.cursor);
    case "event":
      return received(state, action.event);
    case "submitted":
      return { ...state, chosen: null, entries: [...withoutKey(state.entries, action.submission.clientMessageId), pending(action.submission)] };
    case "acknowledged":
      return acknowledged(state, action.clientMessageId, action.messageId, action.turnId);
    case "refused":
      return { ...state, entries: updateUser(state.entries, action.clientMessageId, { state: "refused", error: action.message }) };
    case "discarded":
      return { ...state, entries: withoutKey(state.entries, action.clientMessageId) };
    case "chosen":
      return { ...state, chosen: action.key };
  }
}

/** The turn that runs, or null. */
export function runningTurn(state: Conversation): AnswerEntry | null {
  return state.entries.findLast((e): e is AnswerEntry => e.kind === "answer" && isRunning(e.status)) ?? null;
}

/** The newest message, where it was sent here and its answer has not begun, or null. */
export function unanswered({ entries }: Conversation): UserEntry | null {
  const newest = entries.findLast((e): e is UserEntry => e.kind === "user" && e.state !== "refused");
  if (!newest || newest.key === newest.messageId) return null;
  const answered = newest.turnId !== null && entries.some((e) => e.kind === "answer" && e.turnId === newest.turnId);
  return answered ? null : newest;
}

/** Whether the server has it; what it does not have outlives a log that begins again. */
export function isInLog(entry: Entry): boolean {
  return entry.kind === "user" ? entry.state === "sent" : entry.turnId !== null;
}

export function isRunning(status: AnswerStatus): boolean {
  return status === "waiting" || status === "streaming";
}

// -- actions

function opened(state: Conversation, sessionId: string, cursor: Cursor): Conversation {
  if (state.sessionId === sessionId && state.cursor?.epoch === cursor.epoch) return state;
  return { sessionId, cursor, entries: state.entries.filter((e) => !isInLog(e)), chosen: null };
}

function received(state: Conversation, event: SessionEvent): Conversation {
  const { epoch, seq } = event;
  if (state.sessionId !== event.session_id) return state;
  if (event.type === "session.snapshot") return snapshot(state, event.messages, { epoch, seq });
  if (state.cursor?.epoch === epoch && seq <= state.cursor.seq) return state;
  return { ...state, cursor: { epoch, seq }, entries: apply(state.entries, event) };
}

function snapshot(state: Conversation, messages: Message[], cursor: Cursor): Conversation {
  const waiting = state.entries.filter((e) => !isInLog(e));
  return { ...state, cursor, entries: messages.reduce(committed, waiting) };
}

function acknowledged({ entries, ...state }: Conversation, key: string, messageId: string, turnId: string): Conversation {
  const own = entries.find((e) => e.key === key);
  const isIt = (e: Entry): boolean => (own?.kind === "answer" ? e.turnId === turnId : e.messageId === messageId);
  if (entries.some((e) => e !== own && e.kind === own?.kind && isInLog(e) && isIt(e))) return { ...state, entries: withoutKey(entries, key) };
  if (own?.kind === "answer") return { ...state, entries: entries.with(entries.indexOf(own), { ...own, turnId }) };
  return { ...state, entries: updateUser(entries, key, { messageId, turnId }) };
}

// -- events

function apply(entries: Entry[], event: SessionEvent): Entry[] {
  switch (event.type) {
    case "message.created":
      return committed(entries, event.message);
    case "turn.queued":
      return updateAnswer(entries, event.turn_id, () => ({ activity: { stage: "queued", position: event.position } }));
    case "turn.started":
      // With `restart` the server has lost the text that it sent: the answer begins again.
      return updateAnswer(answering(entries, event.turn_id, event.message_id ?? null), event.turn_id, ({ parent }) => ({
        activity: null,
        parent: event.message_id ?? parent,
        ...(event.restart ? { text: "", weights: [] } : {}),
      }));
    case "turn.progress":
      return updateAnswer(entries, event.turn_id, () => ({
        activity: { stage: event.stage, done: event.done ?? null, total: event.total ?? null },
      }));
    case "tool.called":
      return updateAnswer(entries, event.turn_id, () => ({ activity: { stage: "tool", name: event.name } }));
    case "turn.delta":
      return updateAnswer(entries, event.turn_id, (answer) => ({
        status: "streaming",
        activity: null,
        text: answer.text + event.text,
        weights: event.tokens ? [...answer.weights, ...place(event.tokens, event.text, answer.text.length)] : answer.weights,
      }));
    case "turn.finished":
      return updateAnswer(entries, event.turn_id, () => ({
        status: event.status,
        activity: null,
        usage: event.usage ?? null,
        images: event.images ?? [],
        error: event.error ?? null,
        notes: event.notes ?? [],
      }));
    default:
      return entries;
  }
}

function committed(entries: Entry[], message: Message): Entry[] {
  return message.role === "user" ? committedQuestion(entries, message) : committedAnswer(entries, message);
}

function committedQuestion(entries: Entry[], message: Message): Entry[] {
  const images = message.parts.filter((p) => p.type === "image");
  const text = textOf(message.parts) || toolOf(message.parts);
  const own = entries.find((e): e is UserEntry => e.kind === "user" && isSame(e, message, text, images));
  if (own?.state === "sent") return entries;
  const entry: UserEntry = {
    kind: "user",
    key: own?.key ?? message.message_id,
    state: "sent",
    messageId: message.message_id,
    parent: message.parent ?? null,
    turnId: message.turn_id ?? own?.turnId ?? null,
    text,
    images,
    error: null,
  };
  return insert(own ? withoutKey(entries, own.key) : entries, entry);
}

function committedAnswer(entries: Entry[], message: Message): Entry[] {
  const text = textOf(message.parts);
  const tools = message.parts.filter((p) => p.type === "tool_call" || p.type === "tool_result");
  const turnId = message.turn_id;
  const known = entries.some((e) => e.kind === "answer" && e.turnId === turnId);
  return updateAnswer(answering(entries, turnId, message.parent ?? null), turnId, (answer) => ({
    messageId: message.message_id,
    parent: message.parent ?? answer.parent,
    text,
    tools,
    weights: answer.text === text ? answer.weights : [],
    ...(!known && { status: "completed" as const }),
  }));
}

// -- entries

function pending({ clientMessageId: key, text, images, parent, regenerates }: Submission): Entry {
  if (regenerates !== undefined) return newAnswer(key, null, regenerates);
  const after = parent === ROOT ? null : parent;
  return { kind: "user", key, state: "sending", messageId: null, parent: after, turnId: null, text, images, error: null };
}

/** Whether the entry is this committed message: by its ids when they are known, else by what it says. */
function isSame(entry: UserEntry, message: Message, text: string, images: MessageImage[]): boolean {
  if (entry.messageId !== null) return entry.messageId === message.message_id;
  const ids = (parts: MessageImage[]): string => parts.map((p) => p.image_id).join();
  return entry.state === "sending" && entry.text.trim() === text.trim() && ids(entry.images) === ids(images);
}

function textOf(parts: Part[]): string {
  return parts.flatMap((p) => (p.type === "text" ? [p.text] : [])).join("");
}

/** A tool that was asked for without words, as one would type it. */
function toolOf(parts: Part[]): string {
  const call = parts.find((p) => p.type === "tool_call");
  return call ? `/${call.name}` : "";
}

function withoutKey(entries: Entry[], key: string): Entry[] {
  return entries.filter((e) => e.key !== key);
}

function updateUser(entries: Entry[], key: string, change: Partial<UserEntry>): Entry[] {
  return entries.map((e) => (e.kind === "user" && e.key === key ? { ...e, ...change } : e));
}

/** Change the turn's answer, which is made when it is not there yet. */
function updateAnswer(entries: Entry[], turnId: string, change: (answer: AnswerEntry) => Partial<AnswerEntry>): Entry[] {
  const there = answering(entries, turnId, null);
  const index = there.findIndex((e) => e.kind === "answer" && e.turnId === turnId);
  const answer = there[index] as AnswerEntry;
  return there.with(index, { ...answer, ...change(answer) });
}

/** The entries with the turn's answer among them: the one that was wished for here, or one that is made. */
function answering(entries: Entry[], turnId: string, said: string | null): Entry[] {
  if (entries.some((e) => e.kind === "answer" && e.turnId === turnId)) return entries;
  const questions = entries.filter((e): e is UserEntry => e.kind === "user" && e.messageId !== null);
  const question = said ?? questions.find((e) => e.turnId === turnId)?.messageId ?? null;
  const wished = entries.find((e): e is AnswerEntry => e.kind === "answer" && e.turnId === null && [e.parent, null].includes(question));
  if (wished) return entries.with(entries.indexOf(wished), { ...wished, turnId });
  return insert(entries, newAnswer(turnId, turnId, question ?? questions.at(-1)?.messageId ?? null));
}

function newAnswer(key: string, turnId: string | null, parent: string | null): AnswerEntry {
  return {
    kind: "answer",
    key,
    messageId: null,
    parent,
    turnId,
    status: "waiting",
    text: "",
    tools: [],
    weights: [],
    images: [],
    usage: null,
    error: null,
    notes: [],
    activity: null,
  };
}

/** Put what the log brings to the end of what it has brought. */
function insert(entries: Entry[], entry: Entry): Entry[] {
  const firstOwn = entries.findIndex((e) => !isInLog(e));
  return entries.toSpliced(firstOwn < 0 ? entries.length : firstOwn, 0, entry);
}
