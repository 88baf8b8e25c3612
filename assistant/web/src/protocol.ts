/**
 * The frames of the session protocol, version 1, as this page uses them.
 *
 * Types only, with the few constants that both ends must agree on. Nothing here opens a socket or keeps state.
 * A field that a server may leave out is optional; unknown fields and unknown frame types are ignored.
 */

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = "assistant.v1";
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

export interface Limits {
  /** Largest picture, in bytes. */
  image_bytes: number;
  /** Largest picture, in pixels. */
  image_pixels: number;
  /** Largest binary frame, in bytes. */
  chunk_bytes: number;
}

/** A place in a session's event log. A new epoch means that the log began again. */
export interface Cursor {
  epoch: string;
  seq: number;
}

export interface ImagePart {
  type: "image";
  image_id: string;
  width?: number;
  height?: number;
}

export interface TextPart {
  type: "text";
  text: string;
}

export interface ToolCallPart {
  type: "tool_call";
  name: string;
  arguments?: unknown;
}

export interface ToolResultPart {
  type: "tool_result";
  name: string;
  result?: unknown;
}

export type Part = ImagePart | TextPart | ToolCallPart | ToolResultPart;

export interface Message {
  message_id: string;
  role: "user" | "assistant";
  parts: Part[];
  turn_id?: string | null;
  client_message_id?: string | null;
  created_at?: string;
}

/** One token of an answer and how much the picture weighed in it, from 0 to 1. */
export interface TokenWeight {
  text: string;
  image_weight: number | null;
}

export interface ImageUse {
  image_id: string;
  seen: boolean;
  width?: number | null;
  height?: number | null;
  /** Why it was not seen. */
  reason?: string | null;
  /** The words that were read in it. */
  read?: string | null;
}

export interface Usage {
  prompt_tokens?: number;
  completion_tokens?: number;
  image_cells?: number;
}

export interface Failure {
  code: string;
  message: string;
}

export type FinishStatus = "completed" | "cancelled" | "failed" | "length";

/** What every event of a session carries; `seq` grows within an epoch. */
interface InSession {
  session_id: string;
  epoch: string;
  seq: number;
  at?: string;
}

export type SessionEvent = InSession &
  (
    | { type: "session.opened" | "session.updated" | "session.deleted" }
    | { type: "session.snapshot"; messages: Message[] }
    | { type: "message.created"; message: Message }
    /** `position` counts from 1. */
    | { type: "turn.queued"; turn_id: string; position: number }
    | { type: "turn.started"; turn_id: string; attempt?: number; restart?: boolean; engine?: string; model?: string }
    | { type: "turn.progress"; turn_id: string; stage: string; done?: number | null; total?: number | null }
    | { type: "turn.delta"; turn_id: string; text: string; tokens?: TokenWeight[] | null }
    | { type: "tool.called"; turn_id: string; name: string; arguments?: unknown }
    | { type: "tool.finished"; turn_id: string; name: string; result?: unknown }
    | {
        type: "turn.finished";
        turn_id: string;
        status: FinishStatus;
        usage?: Usage | null;
        images?: ImageUse[] | null;
        error?: Failure | null;
        /** What the reader should know of the answer. */
        notes?: string[] | null;
      }
  );

export interface Hello {
  type: "hello";
  protocol: number;
  server: string;
  heartbeat_seconds: number;
  limits: Limits;
}

/** A picture that the user has taught. */
export interface Remembered {
  memory_id: string;
  text: string;
  language?: string;
  image_id?: string;
  added_at?: string;
}

/** A conversation in a list. */
export interface SessionInfo {
  session_id: string;
  title: string;
  created_at: string;
  updated_at: string;
  messages: number;
}

export interface Ack {
  type: "ack";
  id: string;
  owner?: string;
  session_id?: string;
  cursor?: Cursor;
  turn_id?: string;
  message_id?: string;
  duplicate?: boolean;
  offset?: number;
  image_id?: string;
  width?: number;
  height?: number;
  resized?: boolean;
  memory?: Remembered;
  memories?: Remembered[];
  removed?: Remembered[];
  sessions?: SessionInfo[];
  before?: string;
  title?: string;
  /** A part of an export, and what gives the next. */
  text?: string;
  next?: string;
}

export interface ErrorFrame {
  type: "error";
  command_id?: string | null;
  code: string;
  message: string;
  retry_after?: number | null;
}

/** A command without its `id`, which the connection adds. */
export type Command =
  | { type: "auth"; token: string | null; client: { name: string; version: string } }
  | { type: "session.open"; session_id?: string; cursor?: Cursor }
  | { type: "session.list"; before?: string }
  | { type: "session.rename"; session_id: string; title: string }
  | { type: "session.delete"; session_id: string }
  | { type: "session.export"; session_id: string; format: "json" | "markdown"; part?: string }
  | { type: "image.begin"; upload_id: string; sha256: string; bytes: number; mime: string }
  | { type: "image.end"; upload_id: string }
  | { type: "turn.submit"; session_id: string; client_message_id: string; text: string; images: string[] }
  | { type: "turn.cancel"; turn_id: string; seen_chars: number }
  | { type: "memory.add"; image_id: string; text: string; language?: string }
  | { type: "memory.list" }
  | { type: "memory.remove"; memory: string }
  | { type: "ping" };

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
