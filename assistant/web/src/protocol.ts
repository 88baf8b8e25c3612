/**
 * The session protocol, version 1, as this page uses it: the frames are those of `frames.ts`, which is made from the
 * server's models.
 *
 * Types, with the few constants that both ends must agree on. Nothing here opens a socket or keeps state. Unknown fields
 * and unknown frame types are ignored.
 */

import type * as Frames from "./frames";
import type { Message } from "./frames";

export type {
  CursorFrame as Cursor,
  Error as ErrorFrame,
  ErrorInfo as Failure,
  Hello,
  ImagePart,
  ImageUse,
  Limits,
  MemoryItem as Remembered,
  Message,
  SessionInfo,
  TokenWeight,
  ToolCallPart,
  ToolResultPart,
  Usage,
} from "./frames";

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = "assistant.v1";
/** In the place of a parent: none, the message begins the conversation. */
export const ROOT = "root";
/** The owner of whoever is let in without a key. */
export const ANONYMOUS = "anonymous";

/** Close codes that change what the client does next; any other code means: back off and resume. */
export const CLOSE = {
  policy: 1008,
  tooBig: 1009,
  restart: 1012,
  busy: 1013,
  revoked: 4001,
  protocolError: 4002,
} as const;

/** Fields of any ack: which of them are there depends on the command. */
export type Ack = Frames.Ack & Partial<Omit<Intersection<Frames.AnyAck>, keyof Frames.Ack>>;
type Intersection<U> = (U extends unknown ? (member: U) => void : never) extends (all: infer I) => void ? I : never;

/** A command without its `id`, which the connection adds. */
export type Command = WithoutId<Frames.ClientFrame>;
type WithoutId<C> = C extends unknown ? Omit<C, "id"> : never;

export type Part = Message["parts"][number];
export type SessionEvent = Frames.SessionEvent | Frames.SessionSnapshot;

/** Any server frame, before its type is known. */
export interface Frame {
  type: string;
  [field: string]: unknown;
}

/** The frame in a text message, or null when it is not one. */
export function parseFrame(data: string): Frame | null {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === "object" && value !== null && typeof (value as Frame).type === "string") return value as Frame;
  } catch {
    // Not JSON: the caller treats it as no frame.
  }
  return null;
}

/** True when the frame is an event of a session's log. */
export function isSessionEvent(frame: Frame): frame is Frame & SessionEvent {
  return typeof frame["session_id"] === "string" && typeof frame["seq"] === "number" && typeof frame["epoch"] === "string";
}
