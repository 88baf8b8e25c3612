/** A scripted server's end of a websocket. */

import type { ConnectionOptions, Socket } from "../src/connection";
import { Connection, type Status } from "../src/connection";
import type { Cursor, ErrorFrame, SessionEvent } from "../src/protocol";

export interface Sent {
  type: string;
  id: string;
  [field: string]: unknown;
}

export class FakeSocket implements Socket {
  bufferedAmount = 0;
  binaryType: BinaryType = "blob";
  onmessage: WebSocket["onmessage"] = null;
  onclose: WebSocket["onclose"] = null;
  sent: Sent[] = [];
  binary: Uint8Array[] = [];
  closed = false;

  constructor(readonly subprotocol: string) {}

  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void {
    if (typeof data === "string") this.sent.push(JSON.parse(data) as Sent);
    else this.binary.push(data as Uint8Array);
  }

  close(): void {
    this.closed = true;
  }

  /** A frame from the server. */
  say(frame: object): void {
    this.onmessage?.call(this as unknown as WebSocket, { data: JSON.stringify(frame) } as MessageEvent);
  }

  /** The server, or the network, closes. */
  drop(code = 1006, reason = ""): void {
    this.onclose?.call(this as unknown as WebSocket, { code, reason } as CloseEvent);
  }

  last(type: string): Sent {
    const found = this.sent.findLast((frame) => frame.type === type);
    if (!found) throw new Error(`no ${type} was sent`);
    return found;
  }

  ack(type: string, result: object = {}): void {
    this.say({ type: "ack", id: this.last(type).id, ...result });
  }

  refuse(type: string, code: string, more: object = {}): void {
    this.say({ type: "error", command_id: this.last(type).id, code, message: `${code}!`, ...more });
  }

  /** Hello, auth and session.open, answered. */
  welcome(cursor: Cursor = { epoch: "e1", seq: 0 }, sessionId = "s_1"): void {
    this.say({ type: "hello", protocol: 1, server: "fake", heartbeat_seconds: 15, limits: { image_bytes: 1000, chunk_bytes: 100 } });
    this.ack("auth");
    this.ack("session.open", { session_id: sessionId, cursor });
  }
}

/** A connection on fake sockets, with what it told. */
export function connect(options: Partial<ConnectionOptions> = {}) {
  const sockets: FakeSocket[] = [];
  const told = { statuses: [] as Status[], opened: [] as unknown[][], events: [] as SessionEvent[], problems: [] as ErrorFrame[], deletions: 0 };
  const connection = new Connection({
    url: "ws://test/v1/ws",
    sessionId: null,
    cursor: () => null,
    onStatus: (status) => told.statuses.push(status),
    onOpened: (...args) => told.opened.push(args),
    onEvent: (event) => told.events.push(event),
    onDeleted: () => void told.deletions++,
    onProblem: (error) => told.problems.push(error),
    createSocket: (_url, subprotocol) => {
      const socket = new FakeSocket(subprotocol);
      sockets.push(socket);
      return socket;
    },
    random: () => 1,
    ...options,
  });
  connection.start();
  return { connection, sockets, told, socket: () => sockets.at(-1)! };
}
