/**
 * One websocket that lives through drops: hello, auth, session.open, commands and their answers, ping, reconnect.
 *
 * Delivery is at least once with exactly-once effect: after a drop the session is opened again from the cursor, and
 * commands given to `reliable` are sent again until they are answered. What events mean is not known here.
 */

import {
  CLOSE,
  type Ack,
  type Command,
  type Cursor,
  type ErrorFrame,
  type Frame,
  type Hello,
  isSessionEvent,
  type Limits,
  parseFrame,
  PROTOCOL_VERSION,
  type SessionEvent,
  SUBPROTOCOL,
} from "./protocol";

import { withTime } from "./waiting";

export interface Status {
  state: "connecting" | "ready" | "offline";
  /** Why it is offline, in words for the user. */
  reason?: string;
  /** It will not try again by itself. */
  stopped?: boolean;
  /** It would be let in with a key, or with another one. */
  wantsKey?: boolean;
}

/** The server refused a command. */
export class CommandError extends Error {
  readonly code: string;
  readonly retryAfter: number | null;

  constructor(frame: ErrorFrame) {
    super(frame.message);
    this.code = frame.code;
    this.retryAfter = frame.retry_after ?? null;
  }
}

/** The socket went away before the command was answered. */
export class ConnectionLost extends Error {}

/** The part of WebSocket that is used, so that tests can pass a fake. */
export type Socket = Pick<
  WebSocket,
  "send" | "close" | "bufferedAmount" | "binaryType" | "onmessage" | "onclose"
>;

export interface ConnectionOptions {
  url: string;
  /** The session to open first; null opens a new one. */
  sessionId: string | null;
  /** Where the events that the page holds end; asked for before each session.open. */
  cursor: (sessionId: string) => Cursor | null;
  onStatus: (status: Status) => void;
  /** A session is open and its events follow. `replaced` when the one asked for is gone. */
  onOpened: (sessionId: string, cursor: Cursor, replaced: boolean) => void;
  onEvent: (event: SessionEvent) => void;
  /** The open session was deleted, here or on another device. */
  onDeleted: () => void;
  /** An error that answers no command. */
  onProblem: (error: ErrorFrame) => void;
  createSocket?: (url: string, subprotocol: string) => Socket;
  random?: () => number;
}

interface Waiting {
  done: (ack: Ack) => void;
  failed: (error: Error) => void;
}

interface Reliable extends Waiting {
  build: () => Command;
}

const HANDSHAKE_MS = 10_000;
/** How long any frame may take to come after a ping; shorter than the time between pings. */
const PONG_MS = 10_000;
const PROBE_MS = 5_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const BUSY_ATTEMPT = 3;
const DEFAULT_HEARTBEAT_S = 15;
const DEFAULT_LIMITS: Limits = {
  image_bytes: 10 * 1024 * 1024,
  image_pixels: 25_000_000,
  images: 8,
  text_chars: 100_000,
  chunk_bytes: 256 * 1024,
};

export class Connection {
  limits: Limits = DEFAULT_LIMITS;
  /** Whoever the server says we are. */
  owner: string | null = null;
  status: Status = { state: "connecting" };
  /** Grows with each socket: what was begun on one is not gone on with on the next. */
  generation = 0;

  private socket: Socket | null = null;
  private sessionId: string | null;
  private nextId = 1;
  private attempt = 0;
  private heartbeatMs = DEFAULT_HEARTBEAT_S * 1000;
  private readonly waiting = new Map<string, Waiting>();
  private readonly outbox = new Set<Reliable>();
  private readonly readyWaiters = new Set<() => void>();
  private retryTimer: Timer | undefined;
  private deadline: Timer | undefined;
  private pingTimer: Timer | undefined;

  constructor(private readonly options: ConnectionOptions) {
    this.sessionId = options.sessionId;
  }

  /** Connect now. */
  start(): void {
    clearTimeout(this.retryTimer);
    this.generation++;
    this.setStatus({ state: "connecting" });
    const create = this.options.createSocket ?? ((url, subprotocol) => new WebSocket(url, subprotocol));
    const socket = create(this.options.url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event: MessageEvent) => this.receive(event.data);
    socket.onclose = (event: CloseEvent) => this.lost(event.code, event.reason);
    this.socket = socket;
    this.expect(HANDSHAKE_MS);
  }

  /** Close for good. */
  stop(): void {
    this.drop();
    clearTimeout(this.retryTimer);
    this.setStatus({ state: "offline", stopped: true });
  }

  /** Leave the session and open another (null: a new one) on a fresh socket. */
  switchSession(sessionId: string | null): void {
    this.sessionId = sessionId;
    this.attempt = 0;
    this.drop();
    this.start();
  }

  /** The network may be back, or the user asks: connect at once, or check that the socket is alive. */
  wake(): void {
    if (this.status.state === "offline") {
      this.drop();
      this.start();
    } else if (this.status.state === "ready") this.ping(PROBE_MS);
  }

  /** Send once. Rejects with CommandError when refused, ConnectionLost when the socket drops before the answer. */
  request(command: Command): Promise<Ack> {
    if (this.status.state !== "ready") return Promise.reject(new ConnectionLost());
    return new Promise((done, failed) => this.transmit(command, { done, failed }));
  }

  /** Send, and send again after each drop, until answered. For commands that the server answers only once. */
  reliable(build: () => Command): Promise<Ack> {
    return new Promise((done, failed) => {
      const item: Reliable = {
        build,
        done: (ack) => (this.outbox.delete(item), done(ack)),
        failed: (error) => {
          if (error instanceof ConnectionLost) return;
          this.outbox.delete(item);
          failed(error);
        },
      };
      this.outbox.add(item);
      if (this.status.state === "ready") this.transmit(item.build(), item);
    });
  }

  /** Send a binary frame. */
  sendBinary(data: Uint8Array<ArrayBuffer>): void {
    if (this.status.state !== "ready" || !this.socket) throw new ConnectionLost();
    this.socket.send(data);
  }

  /** Bytes given to the socket and not yet on the wire. */
  get buffered(): number {
    return this.socket?.bufferedAmount ?? 0;
  }

  /** Resolves when a session is open. */
  whenReady(): Promise<void> {
    if (this.status.state === "ready") return Promise.resolve();
    return new Promise((resolve) => this.readyWaiters.add(resolve));
  }

  // -- incoming

  private receive(data: unknown): void {
    if (typeof data !== "string") return;
    if (this.status.state === "ready") clearTimeout(this.deadline); // Any frame shows that the other end lives.
    const frame = parseFrame(data);
    if (!frame) return;
    if (frame.type === "hello") this.greet(frame as unknown as Hello);
    else if (frame.type === "ack") this.settle(String(frame["id"]), (w) => w.done(frame as unknown as Ack));
    else if (frame.type === "error") this.refuse(frame as unknown as ErrorFrame);
    else if (frame.type === "pong") this.waiting.delete(String(frame["id"] ?? ""));
    else if (frame.type === "session.deleted") {
      if (frame["session_id"] === this.sessionId) this.options.onDeleted();
    } else if (isSessionEvent(frame as Frame)) {
      if (frame["session_id"] === this.sessionId) this.options.onEvent(frame as unknown as SessionEvent);
    }
  }

  private settle(id: string, answer: (waiting: Waiting) => void): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (waiting) answer(waiting);
  }

  private refuse(frame: ErrorFrame): void {
    const id = frame.command_id;
    if (id != null && this.waiting.has(id)) this.settle(id, (w) => w.failed(new CommandError(frame)));
    else this.options.onProblem(frame);
  }

  // -- handshake

  private greet(hello: Hello): void {
    if (hello.protocol !== PROTOCOL_VERSION) {
      this.halt("This page is out of date. Reload it.");
      return;
    }
    this.limits = { ...DEFAULT_LIMITS, ...hello.limits };
    this.heartbeatMs = (hello.heartbeat_seconds || DEFAULT_HEARTBEAT_S) * 1000;
    this.transmit(
      { type: "auth", token: null, client: { name: "web", version: __APP_VERSION__ } },
      { done: (ack) => this.letIn(ack), failed: (error) => this.handshakeFailed(error) },
    );
  }

  private letIn(ack: Ack): void {
    this.owner = ack.owner ?? null;
    this.open(false);
  }

  private open(replaced: boolean): void {
    const asked = this.sessionId;
    const cursor = asked === null ? null : this.options.cursor(asked);
    this.transmit(
      { type: "session.open", ...(asked !== null && { session_id: asked }), ...(cursor && { cursor }) },
      {
        done: (ack) => this.opened(ack, replaced),
        failed: (error) => {
          if (asked !== null && error instanceof CommandError && error.code === "session_not_found") {
            this.sessionId = null;
            this.open(true);
          } else this.handshakeFailed(error);
        },
      },
    );
  }

  private opened(ack: Ack, replaced: boolean): void {
    if (!ack.session_id || !ack.cursor) return this.halt("The server's answer was not understood. Reload the page.");
    clearTimeout(this.deadline);
    this.sessionId = ack.session_id;
    this.attempt = 0;
    this.setStatus({ state: "ready" });
    for (const item of [...this.outbox]) this.transmit(item.build(), item); // Before the page adds to it.
    this.options.onOpened(ack.session_id, ack.cursor, replaced);
    for (const resolve of this.readyWaiters) resolve();
    this.readyWaiters.clear();
    this.pingTimer = setInterval(() => this.ping(Math.min(PONG_MS, 0.8 * this.heartbeatMs)), this.heartbeatMs);
  }

  private handshakeFailed(error: Error): void {
    if (error instanceof ConnectionLost) return; // The close handler has the word.
    const { retryAfter, code } = error as CommandError;
    if (retryAfter === null) return this.halt(error.message, code.startsWith("auth_"));
    this.drop();
    this.retry(retryAfter * 1000, withTime(error.message, retryAfter));
  }

  // -- outgoing

  private transmit(command: Command, waiting: Waiting): void {
    const id = String(this.nextId++);
    this.waiting.set(id, waiting);
    const { type, ...rest } = command;
    this.socket?.send(JSON.stringify({ type, id, ...rest }));
  }

  private ping(patienceMs: number): void {
    this.transmit({ type: "ping" }, { done: () => {}, failed: () => {} });
    this.expect(patienceMs);
  }

  /** Treat the socket as lost when nothing arrives in time. */
  private expect(ms: number): void {
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.lost(1006, ""), ms);
  }

  // -- losing and finding again

  private lost(code: number, reason: string): void {
    this.drop();
    if (code === CLOSE.revoked) return this.halt(`Your key no longer holds (${reason || "revoked"}). Log in with another.`, true);
    if (code === CLOSE.protocolError || code === CLOSE.policy)
      return this.halt(reason ? `The server ended the connection: ${reason}` : "The server ended the connection.");
    if (code === CLOSE.restart && this.attempt === 0) {
      this.attempt = 1;
      return this.retry(this.random() * 250, "The server is restarting.");
    }
    if (code === CLOSE.busy) this.attempt = Math.max(this.attempt, BUSY_ATTEMPT);
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.attempt++);
    const words = code === CLOSE.busy ? "The server is busy." : code === CLOSE.tooBig ? "A message was too big." : undefined;
    this.retry(longest * (0.5 + 0.5 * this.random()), words);
  }

  private retry(delayMs: number, reason?: string): void {
    this.setStatus({ state: "offline", ...(reason && { reason }) });
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.start(), delayMs);
  }

  private halt(reason: string, wantsKey = false): void {
    this.drop();
    this.setStatus({ state: "offline", reason, stopped: true, ...(wantsKey && { wantsKey }) });
  }

  /** Let go of the socket; unanswered requests fail, reliable ones wait for the next. */
  private drop(): void {
    clearTimeout(this.deadline);
    clearInterval(this.pingTimer);
    clearTimeout(this.retryTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const unanswered = [...this.waiting.values()];
    this.waiting.clear();
    if (this.status.state === "ready") this.status = { state: "offline" };
    for (const waiting of unanswered) waiting.failed(new ConnectionLost());
  }

  private setStatus(status: Status): void {
    this.status = status;
    this.options.onStatus(status);
  }

  private random(): number {
    return (this.options.random ?? Math.random)();
  }
}

type Timer = ReturnType<typeof setTimeout>;
