/**
 * Frames of the websocket protocol, version 1. Written by `make protocol` from the server's models: do not edit.
 *
 * In a command an absent field and a null are the same. A later server may send more fields than these.
 */

/** A command was carried out. Each command adds its own fields. */
export interface Ack {
  type: "ack";
  id: string;
}

/**
 * Who is there. Must come first, within 10 s. `token` is an API key or a JSON Web Token; null is the cookie or
 * `Authorization` of the handshake, and without these anonymous.
 */
export interface Auth {
  type: "auth";
  id: string;
  token?: string | null;
  client?: ClientInfo | null;
  features?: string[];
}

/**
 * Who it is, what may be done, and until when. What is left of the owner's limits, where there are any, and in how many
 * seconds all of it is there again.
 */
export interface AuthAck {
  type: "ack";
  id: string;
  owner: string;
  scopes: ("read" | "chat")[];
  expires_at?: string;
  remaining?: Record<string, number>;
  reset?: Record<string, number>;
}

export interface ClientInfo {
  name: string;
  version?: string;
}

export interface CursorFrame {
  epoch: string;
  seq: number;
}

/** Something went wrong; the socket stays open, except after a refused `auth`. */
export interface Error {
  type: "error";
  command_id?: string;
  code: string;
  message: string;
  retry_after?: number;
}

/** Why a turn failed. */
export interface ErrorInfo {
  code: string;
  message: string;
}

/** The server's first frame. */
export interface Hello {
  type: "hello";
  protocol: number;
  server: string;
  heartbeat_seconds: number;
  limits: Limits;
}

/**
 * Announce a picture: `sha256` is of its bytes, in hexadecimal. A hash that this owner has sent before is acknowledged
 * with its `image_id` at once. At most 4 uploads at a time. After a lost connection, sent again with the same
 * `upload_id`, hash and size, it is answered with the `offset` of what came already: kept for 10 minutes, 8 uploads an
 * owner, in this gateway's memory; another begins at 0.
 */
export interface ImageBegin {
  type: "image.begin";
  id: string;
  upload_id: string;
  sha256: string;
  bytes: number;
  mime?: string;
}

/**
 * All bytes are sent. After a wrong piece this gives the error, and frees the place. `resized`: the picture was scaled
 * down. `animated`: only its first frame is kept, which the `notes` of `turn.finished` say too.
 */
export interface ImageEnd {
  type: "image.end";
  id: string;
  upload_id: string;
}

/** Send bytes from this offset. */
export interface ImageOffsetAck {
  type: "ack";
  id: string;
  offset: number;
}

/** A picture by id, with its size in pixels after intake. */
export interface ImagePart {
  type: "image";
  image_id: string;
  width: number;
  height: number;
}

/** The picture is kept; `resized`: it was scaled down; `animated`: only its first frame is kept. */
export interface ImageReadyAck {
  type: "ack";
  id: string;
  image_id: string;
  width: number;
  height: number;
  resized: boolean;
  animated: boolean;
}

/**
 * Whether a picture of the turn reached the model, at which size in pixels; if not, why not. `read` are the words that
 * were read in it, by a reader of its own and not by the model.
 */
export interface ImageUse {
  image_id: string;
  seen: boolean;
  width: number;
  height: number;
  reason?: string;
  read?: string;
}

/** What a client may send; `chunk_bytes` is the data of a binary frame, without its head of 24 bytes. */
export interface Limits {
  image_bytes: number;
  image_pixels: number;
  images: number;
  text_chars: number;
  chunk_bytes: number;
}

/**
 * What is left of the owner's limits: `turns`, `tokens`, `pixels` and `bytes`, those that are limited. `reset` is in
 * how many seconds all of it is there again. It belongs to no session and has no `seq`, and comes when what is left has
 * changed by a tenth or more, is used up or is there again.
 */
export interface LimitsUpdated {
  type: "limits.updated";
  remaining: Record<string, number>;
  reset: Record<string, number>;
}

/**
 * Remember what an uploaded picture shows: "This is our dog Rex." is kept as "our dog Rex". The same picture and
 * language again takes the place of what was there.
 */
export interface MemoryAdd {
  type: "memory.add";
  id: string;
  image_id: string;
  text: string;
  language?: string | null;
}

/** It is remembered, among so many in all. */
export interface MemoryAddAck {
  type: "ack";
  id: string;
  memory: MemoryItem;
  count: number;
}

/** One picture that is remembered. */
export interface MemoryItem {
  memory_id: string;
  text: string;
  language: string;
  image_id: string;
  added_at: string;
}

/** What this owner's memory holds, in the order in which it was taught; an `image_id` may be gone by now. */
export interface MemoryList {
  type: "memory.list";
  id: string;
}

export interface MemoryListAck {
  type: "ack";
  id: string;
  memories: MemoryItem[];
}

/** Forget: `memory` is a `memory_id`, or a text, and then all pictures of which it was said. */
export interface MemoryRemove {
  type: "memory.remove";
  id: string;
  memory: string;
}

/** These are forgotten. */
export interface MemoryRemoveAck {
  type: "ack";
  id: string;
  removed: MemoryItem[];
}

/** One committed message of a conversation. */
export interface Message {
  message_id: string;
  role: "user" | "assistant";
  parts: (TextPart | ImagePart | ToolCallPart | ToolResultPart)[];
  turn_id: string;
  created_at: string;
  parent?: string;
}

/** A message was committed. */
export interface MessageCreated {
  type: "message.created";
  message: Message;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/** Is anybody there? Answered by `pong`: browsers cannot see protocol pings. */
export interface Ping {
  type: "ping";
  id: string;
}

/** The answer to `ping`. */
export interface Pong {
  type: "pong";
  id: string;
}

/** Follow a conversation no longer on this connection; one that is not open too. */
export interface SessionClose {
  type: "session.close";
  id: string;
  session_id: string;
}

/**
 * Stop what runs, and delete a conversation with all that belongs to it alone. So goes each picture that no other
 * conversation and no memory of this owner uses; its bytes too, unless another owner has the same.
 */
export interface SessionDelete {
  type: "session.delete";
  id: string;
  session_id: string;
}

/** The conversation is gone: deleted, on whatever device, or too old. Nothing more comes of it. */
export interface SessionDeleted {
  type: "session.deleted";
  session_id: string;
}

/**
 * A conversation as a document, in parts of at most 150,000 characters. The ack's `next` is to be given as `part` for
 * the part that follows; the last has none.
 */
export interface SessionExport {
  type: "session.export";
  id: string;
  session_id: string;
  format: "json" | "markdown";
  part?: string | null;
}

/** A part of the document; the texts of all parts joined are the document. Without `next` it is the last. */
export interface SessionExportAck {
  type: "ack";
  id: string;
  text: string;
  next?: string;
}

/** A conversation in a list. */
export interface SessionInfo {
  session_id: string;
  title: string;
  created_at: string;
  updated_at: string;
  messages: number;
}

/**
 * The owner's conversations that have a message, the last used first. The next page is had with the ack's `before`; the
 * last one has none. A page may be shorter than its `limit`.
 */
export interface SessionList {
  type: "session.list";
  id: string;
  before?: string | null;
  limit?: number;
}

/** A page; without `before` it is the last. A page may be shorter than was asked for. */
export interface SessionListAck {
  type: "ack";
  id: string;
  sessions: SessionInfo[];
  before?: string;
}

/** Open a session; without `session_id` a new one. Its events follow from `cursor`; without one, from the beginning. */
export interface SessionOpen {
  type: "session.open";
  id: string;
  session_id?: string | null;
  cursor?: CursorFrame | null;
}

export interface SessionOpenAck {
  type: "ack";
  id: string;
  session_id: string;
  cursor: CursorFrame;
}

/**
 * Give a conversation a title: kept on one line, at most 200 characters. Until then it is the first words of the first
 * message.
 */
export interface SessionRename {
  type: "session.rename";
  id: string;
  session_id: string;
  title: string;
}

/** The title as it is kept. */
export interface SessionRenameAck {
  type: "ack";
  id: string;
  title: string;
}

/** The whole conversation up to `seq`, instead of events, where the client's cursor means nothing here. */
export interface SessionSnapshot {
  type: "session.snapshot";
  session_id: string;
  epoch: string;
  seq: number;
  messages: Message[];
}

/** The conversation has another title. */
export interface SessionUpdated {
  type: "session.updated";
  title: string;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/** Plain text, Markdown allowed. */
export interface TextPart {
  type: "text";
  text: string;
}

/** A piece of text with the share of the picture in it, 0 to 1. */
export interface TokenWeight {
  text: string;
  image_weight: number;
}

/** A tool that was asked for, with the arguments as validated. */
export interface ToolCallPart {
  type: "tool_call";
  name: string;
  arguments: Record<string, unknown>;
}

/** A tool begins. */
export interface ToolCalled {
  type: "tool.called";
  turn_id: string;
  name: string;
  arguments: Record<string, unknown>;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

export interface ToolChoice {
  name: string;
  arguments?: Record<string, unknown>;
}

/** A tool ended with its typed result; `read` in it are the words that were read in the pictures. */
export interface ToolFinished {
  type: "tool.finished";
  turn_id: string;
  name: string;
  result: Record<string, unknown>;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/** What a tool returned: its typed result as JSON. */
export interface ToolResultPart {
  type: "tool_result";
  name: string;
  result: Record<string, unknown>;
}

/**
 * Stop a turn of a session that is open on this connection. `seen_chars` is how much of its text the client has, in
 * Unicode code points.
 */
export interface TurnCancel {
  type: "turn.cancel";
  id: string;
  turn_id: string;
  seen_chars?: number;
}

/** New text only, never the whole. `tokens` is there when a picture was looked at. */
export interface TurnDelta {
  type: "turn.delta";
  turn_id: string;
  text: string;
  tokens?: TokenWeight[];
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/**
 * The one last event of a turn; `images` lists every picture that might have been looked at. `notes`: what the reader
 * should know of the answer, a sentence each, such as what of the owner's memory was not used, or that the oldest
 * messages no longer fit and a summary of them was.
 */
export interface TurnFinished {
  type: "turn.finished";
  turn_id: string;
  status: "completed" | "cancelled" | "failed" | "length";
  usage?: Usage;
  images: ImageUse[];
  error?: ErrorInfo;
  notes?: string[];
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/** How to answer. Absent values are the engine's defaults. */
export interface TurnOptions {
  max_tokens?: number | null;
  temperature?: number | null;
  top_p?: number | null;
  seed?: number | null;
}

/** Work before or between tokens, and a sign of life while there is none. A `total` of 0 is unknown. */
export interface TurnProgress {
  type: "turn.progress";
  turn_id: string;
  stage: string;
  done: number;
  total: number;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/** The turn waits: turns of a session run one after another. `position` counts from 1. */
export interface TurnQueued {
  type: "turn.queued";
  turn_id: string;
  position: number;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/** Answer a message again; `message_id` is the message's, or that of an answer to it. */
export interface TurnRegenerate {
  type: "turn.regenerate";
  id: string;
  session_id: string;
  message_id: string;
  client_message_id: string;
  options?: TurnOptions;
}

/**
 * A worker took the turn. `attempt` counts from 1; a later attempt goes on from the text already sent. With `restart`
 * the text sent so far is void, because the store has lost it: the answer begins again. `message_id` is the message
 * that it answers.
 */
export interface TurnStarted {
  type: "turn.started";
  turn_id: string;
  attempt: number;
  restart: boolean;
  engine: string;
  model: string;
  message_id?: string;
  session_id: string;
  epoch: string;
  seq: number;
  at: string;
}

/**
 * A message to answer. The same `client_message_id` with the same content is the same turn, with other content an
 * error. `tool` or a slash command in the text calls a tool. `parent` is the message to go on after, also an answer
 * that is on its way, or `root` to begin anew, so that a message is edited or a conversation branches; else it is the
 * newest answer.
 */
export interface TurnSubmit {
  type: "turn.submit";
  id: string;
  session_id: string;
  client_message_id: string;
  text?: string;
  images?: string[];
  tool?: ToolChoice | null;
  parent?: string | null;
  options?: TurnOptions;
}

export interface TurnSubmitAck {
  type: "ack";
  id: string;
  turn_id: string;
  message_id: string;
  duplicate: boolean;
}

/** What a turn cost. Times are the engine's own, in milliseconds, so that the rest of the way can be told apart. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  image_cells: number;
  engine_first_token_ms?: number;
  engine_ms?: number;
}

/** A command. */
export type ClientFrame = Auth | SessionOpen | SessionList | SessionRename | SessionDelete | SessionExport | SessionClose | ImageBegin | ImageEnd | TurnSubmit | TurnRegenerate | TurnCancel | MemoryAdd | MemoryList | MemoryRemove | Ping;

/** An event of a session's log. */
export type SessionEvent = MessageCreated | TurnQueued | TurnStarted | TurnProgress | TurnDelta | ToolCalled | ToolFinished | TurnFinished | SessionUpdated;

/** What a server sends. */
export type ServerFrame = Hello | Pong | Error | SessionSnapshot | SessionDeleted | LimitsUpdated | Ack | AuthAck | SessionOpenAck | SessionListAck | SessionRenameAck | SessionExportAck | ImageOffsetAck | ImageReadyAck | TurnSubmitAck | MemoryAddAck | MemoryListAck | MemoryRemoveAck | SessionEvent;

/** Any ack. */
export type AnyAck = Ack | AuthAck | SessionOpenAck | SessionListAck | SessionRenameAck | SessionExportAck | ImageOffsetAck | ImageReadyAck | TurnSubmitAck | MemoryAddAck | MemoryListAck | MemoryRemoveAck;

/** What answers a command, if not an error. */
export interface Answers {
  "auth": AuthAck;
  "session.open": SessionOpenAck;
  "session.list": SessionListAck;
  "session.rename": SessionRenameAck;
  "session.delete": Ack;
  "session.export": SessionExportAck;
  "session.close": Ack;
  "image.begin": ImageOffsetAck | ImageReadyAck;
  "image.end": ImageReadyAck;
  "turn.submit": TurnSubmitAck;
  "turn.regenerate": TurnSubmitAck;
  "turn.cancel": Ack;
  "memory.add": MemoryAddAck;
  "memory.list": MemoryListAck;
  "memory.remove": MemoryRemoveAck;
  "ping": Pong;
}
