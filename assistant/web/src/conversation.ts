/**
 * What the page shows of a conversation, as a pure function of the session's events and the user's own submissions.
 *
 * The log is the truth: events at or before the last `seq` are dropped, and a committed message replaces the text that
 * its deltas built. Knows nothing of sockets, React or time.
 */

import type { Cursor, Failure, ImagePart, ImageUse, Message, Part, SessionEvent, ToolCallPart, ToolResultPart, Usage } from "./protocol";
import { place, type WeightedRange } from "./weights";

/** A picture of a message; its size is known once the log has it. */
export type MessageImage = Pick<ImagePart, "image_id"> & Partial<ImagePart>;

/** A message of the user: `sending` until the log has it. */
export interface UserEntry {
  kind: "user";
  key: string;
  state: "sending" | "sent" | "refused";
  messageId: string | null;
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
  turnId: string;
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
  entries: Entry[];
}

/** A turn that the server may not have yet. */
export interface Submission {
  clientMessageId: string;
  text: string;
  images: MessageImage[];
}

export type Action =
  | { type: "opened"; sessionId: string; cursor: Cursor }
  | { type: "event"; event: SessionEvent }
  | { type: "submitted"; submission: Submission }
  | { type: "acknowledged"; clientMessageId: string; messageId: string; turnId: string }
  | { type: "refused"; clientMessageId: string; message: string }
  | { type: "discarded"; clientMessageId: string };

export const EMPTY: Conversation = { sessionId: null, cursor: null, entries: [] };

export function reduce(state: Conversation, action: Action): Conversation {
  switch (action.type) {
    case "opened":
      return opened(state, action.sessionId, action.cursor);
    case "event":
      return received(state, action.event);
    case "submitted":
      return { ...state, entries: [...withoutKey(state.entries, action.submission.clientMessageId), pending(action.submission)] };
    case "acknowledged":
      return acknowledged(state, action.clientMessageId, action.messageId, action.turnId);
    case "refused":
      return { ...state, entries: updateUser(state.entries, action.clientMessageId, { state: "refused", error: action.message }) };
    case "discarded":
      return { ...state, entries: withoutKey(state.entries, action.clientMessageId) };
  }
}

/** The turn that runs, or null. */
export function runningTurn(state: Conversation): AnswerEntry | null {
  return state.entries.findLast((e): e is AnswerEntry => e.kind === "answer" && isRunning(e.status)) ?? null;
}

/** The user's newest message whose answer has not begun, or null. */
export function unanswered(state: Conversation): UserEntry | null {
  const last = state.entries.at(-1);
  return last?.kind === "user" && last.key !== last.messageId && last.state !== "refused" ? last : null;
}

export function isRunning(status: AnswerStatus): boolean {
  return status === "waiting" || status === "streaming";
}

// -- actions

function opened(state: Conversation, sessionId: string, cursor: Cursor): Conversation {
  if (state.sessionId === sessionId && state.cursor?.epoch === cursor.epoch) return state;
  return { sessionId, cursor, entries: state.entries.filter(isUnconfirmed) };
}

function received(state: Conversation, event: SessionEvent): Conversation {
  const { epoch, seq } = event;
  if (state.sessionId !== event.session_id) return state;
  if (event.type === "session.snapshot") return snapshot(state, event.messages, { epoch, seq });
  if (state.cursor?.epoch === epoch && seq <= state.cursor.seq) return state;
  return { ...state, cursor: { epoch, seq }, entries: apply(state.entries, event) };
}

function snapshot(state: Conversation, messages: Message[], cursor: Cursor): Conversation {
  const waiting = state.entries.filter(isUnconfirmed);
  return { ...state, cursor, entries: messages.reduce(committed, waiting as Entry[]) };
}

function acknowledged(state: Conversation, key: string, messageId: string, turnId: string): Conversation {
  const inLog = state.entries.some((e) => e.kind === "user" && e.state === "sent" && e.messageId === messageId && e.key !== key);
  const entries = inLog ? withoutKey(state.entries, key) : updateUser(state.entries, key, { messageId, turnId });
  return { ...state, entries };
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
      return updateAnswer(entries, event.turn_id, () => ({
        activity: null,
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
  const running = entries.findLast((e): e is AnswerEntry => e.kind === "answer" && isRunning(e.status));
  const turnId = message.turn_id ?? running?.turnId ?? message.message_id;
  const known = entries.some((e) => e.kind === "answer" && e.turnId === turnId);
  return updateAnswer(entries, turnId, (answer) => ({
    text,
    tools,
    weights: answer.text === text ? answer.weights : [],
    ...(!known && { status: "completed" as const }),
  }));
}

// -- entries

function pending({ clientMessageId, text, images }: Submission): UserEntry {
  return { kind: "user", key: clientMessageId, state: "sending", messageId: null, turnId: null, text, images, error: null };
}

/** Not in the log: it outlives a log that begins again. */
function isUnconfirmed(entry: Entry): boolean {
  return entry.kind === "user" && entry.state !== "sent";
}

function isSending(entry: Entry): boolean {
  return entry.kind === "user" && entry.state === "sending";
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
  const index = entries.findIndex((e) => e.kind === "answer" && e.turnId === turnId);
  const answer = index < 0 ? newAnswer(turnId) : (entries[index] as AnswerEntry);
  const changed = { ...answer, ...change(answer) };
  return index < 0 ? insert(entries, changed) : entries.with(index, changed);
}

function newAnswer(turnId: string): AnswerEntry {
  return {
    kind: "answer",
    key: turnId,
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

/** Put what the log brings to its turn, question before answer, or at the end; what is being sent stays last. */
function insert(entries: Entry[], entry: Entry): Entry[] {
  const ofTurn = entry.turnId === null ? -1 : entries.findIndex((e) => e.turnId === entry.turnId);
  const firstSending = entries.findIndex(isSending);
  const end = firstSending < 0 ? entries.length : firstSending;
  const index = ofTurn < 0 ? end : entry.kind === "user" ? ofTurn : ofTurn + 1;
  return entries.toSpliced(index, 0, entry);
}
