import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { CommandError, ConnectionLost } from "../src/connection";
import type { Command } from "../src/protocol";
import { connect } from "./fakes";

const submit = (): Command => ({ type: "turn.submit", session_id: "s_1", client_message_id: "c-1", text: "hi", images: [] });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("handshake", () => {
  it("answers hello with auth, then opens a session", () => {
    const { connection, socket, told } = connect();
    expect(socket().subprotocol).toBe("assistant.v1");
    expect(socket().sent).toEqual([]);
    socket().welcome();
    expect(socket().sent.map((f) => f.type)).toEqual(["auth", "session.open"]);
    expect(socket().last("auth")).toMatchObject({ token: null, client: { name: "web" } });
    expect(socket().last("session.open")).not.toHaveProperty("session_id");
    expect(told.opened).toEqual([["s_1", { epoch: "e1", seq: 0 }, false]]);
    expect(connection.status.state).toBe("ready");
    expect(connection.limits.image_pixels).toBe(25_000_000); // The default, where hello leaves it out.
  });

  it("starts a new session when the old one is gone", () => {
    const { socket, told } = connect({ sessionId: "s_old" });
    socket().say({ type: "hello", protocol: 1, heartbeat_seconds: 15, limits: {} });
    socket().ack("auth");
    expect(socket().last("session.open")["session_id"]).toBe("s_old");
    socket().refuse("session.open", "session_not_found");
    expect(socket().last("session.open")).not.toHaveProperty("session_id");
    socket().ack("session.open", { session_id: "s_new", cursor: { epoch: "e1", seq: 0 } });
    expect(told.opened).toEqual([["s_new", { epoch: "e1", seq: 0 }, true]]);
  });

  it("stops when auth is refused, and tells why", () => {
    const { socket, told } = connect();
    socket().say({ type: "hello", protocol: 1, heartbeat_seconds: 15, limits: {} });
    socket().refuse("auth", "unauthorized");
    expect(told.statuses.at(-1)).toEqual({ state: "offline", reason: "unauthorized!", stopped: true });
  });

  it.each(["auth_required", "auth_invalid", "auth_expired"])("asks for a key on %s", (code) => {
    const { socket, told } = connect();
    socket().say({ type: "hello", protocol: 1, heartbeat_seconds: 15, limits: {} });
    socket().refuse("auth", code);
    expect(told.statuses.at(-1)).toEqual({ state: "offline", reason: `${code}!`, stopped: true, wantsKey: true });
  });

  it("knows who it is", () => {
    const { connection, socket } = connect();
    socket().say({ type: "hello", protocol: 1, heartbeat_seconds: 15, limits: {} });
    socket().ack("auth", { owner: "ada" });
    expect(connection.owner).toBe("ada");
  });

  it("stops on another protocol version", () => {
    const { socket, told } = connect();
    socket().say({ type: "hello", protocol: 2, heartbeat_seconds: 15, limits: {} });
    expect(told.statuses.at(-1)).toMatchObject({ state: "offline", stopped: true });
  });

  it("gives up on a server that says nothing", () => {
    const { sockets, told } = connect();
    vi.advanceTimersByTime(10_000);
    expect(told.statuses.at(-1)?.state).toBe("offline");
    expect(sockets[0]!.closed).toBe(true);
    vi.advanceTimersByTime(500);
    expect(sockets).toHaveLength(2);
  });
});

describe("commands", () => {
  it("gives each its own id and its own answer", async () => {
    const { connection, socket } = connect();
    socket().welcome();
    const first = connection.request({ type: "image.end", upload_id: "u" });
    const second = connection.request({ type: "ping" });
    socket().ack("ping");
    socket().refuse("image.end", "image_empty", { retry_after: 3 });
    await expect(second).resolves.toMatchObject({ type: "ack" });
    await expect(first).rejects.toMatchObject({ code: "image_empty", message: "image_empty!", retryAfter: 3 });
    await expect(first).rejects.toBeInstanceOf(CommandError);
    expect(new Set(socket().sent.map((f) => f.id)).size).toBe(socket().sent.length);
  });

  it("tells errors that answer no command", () => {
    const { socket, told } = connect();
    socket().welcome();
    socket().say({ type: "error", code: "bad_frame", message: "?" });
    expect(told.problems).toHaveLength(1);
  });

  it("fails plain requests when the socket drops", async () => {
    const { connection, socket } = connect();
    socket().welcome();
    const request = connection.request({ type: "image.end", upload_id: "u" });
    socket().drop();
    await expect(request).rejects.toBeInstanceOf(ConnectionLost);
    await expect(connection.request({ type: "ping" })).rejects.toBeInstanceOf(ConnectionLost);
    expect(() => connection.sendBinary(new Uint8Array(1))).toThrow(ConnectionLost);
  });

  it("sends a reliable command again, with the same body, until it is answered", async () => {
    const { connection, sockets, socket } = connect();
    const answer = connection.reliable(submit);
    socket().welcome();
    expect(socket().last("turn.submit")["client_message_id"]).toBe("c-1");
    socket().drop();
    vi.advanceTimersByTime(500);
    socket().welcome();
    expect(sockets).toHaveLength(2);
    expect(socket().last("turn.submit")["client_message_id"]).toBe("c-1");
    socket().ack("turn.submit", { turn_id: "t_1", duplicate: true });
    await expect(answer).resolves.toMatchObject({ turn_id: "t_1" });
    socket().drop();
    vi.advanceTimersByTime(500);
    socket().welcome();
    expect(socket().sent.some((f) => f.type === "turn.submit")).toBe(false);
  });

  it("does not repeat a reliable command that was refused", async () => {
    const { connection, socket } = connect();
    socket().welcome();
    const answer = connection.reliable(submit);
    socket().refuse("turn.submit", "rate_limited");
    await expect(answer).rejects.toMatchObject({ code: "rate_limited" });
    socket().drop();
    vi.advanceTimersByTime(500);
    socket().welcome();
    expect(socket().sent.some((f) => f.type === "turn.submit")).toBe(false);
  });
});

describe("resume", () => {
  it("opens the same session from the cursor", () => {
    const { socket } = connect({ cursor: (id) => (id === "s_1" ? { epoch: "e1", seq: 41 } : null) });
    socket().welcome();
    socket().drop();
    vi.advanceTimersByTime(500);
    socket().welcome({ epoch: "e1", seq: 41 });
    expect(socket().last("session.open")).toMatchObject({ session_id: "s_1", cursor: { epoch: "e1", seq: 41 } });
  });

  it("passes on events of its session only", () => {
    const { socket, told } = connect();
    socket().welcome();
    const event = { type: "turn.started", epoch: "e1", seq: 1, turn_id: "t" };
    socket().say({ ...event, session_id: "s_1" });
    socket().say({ ...event, session_id: "s_2" });
    expect(told.events).toHaveLength(1);
  });

  it("backs off further with each failure, up to a limit, and starts over when it is ready", () => {
    const { sockets, socket } = connect();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      const before = sockets.length;
      socket().drop();
      let waited = 0;
      for (; sockets.length === before; waited += 500) vi.advanceTimersByTime(500);
      waits.push(waited);
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    socket().welcome();
    socket().drop();
    vi.advanceTimersByTime(500);
    expect(sockets).toHaveLength(10);
  });

  it("does not come back after 4001, or after 4002 by itself", () => {
    for (const code of [4001, 4002]) {
      const { connection, sockets, socket, told } = connect();
      socket().welcome();
      socket().drop(code, "bad frame");
      vi.advanceTimersByTime(60_000);
      expect(sockets).toHaveLength(1);
      expect(told.statuses.at(-1)).toMatchObject({ state: "offline", stopped: true });
      expect(told.statuses.at(-1)?.reason).toContain("bad frame");
      connection.wake();
      expect(sockets).toHaveLength(2);
    }
  });

  it("comes back at once after 1012 and later after 1013", () => {
    const { sockets, socket } = connect();
    socket().welcome();
    socket().drop(1012);
    vi.advanceTimersByTime(250);
    expect(sockets).toHaveLength(2);
    socket().welcome();
    socket().drop(1013);
    vi.advanceTimersByTime(3999);
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(sockets).toHaveLength(3);
  });

  it("moves to a new session on a fresh socket", () => {
    const { connection, sockets, socket } = connect({ sessionId: "s_1" });
    socket().welcome();
    connection.switchSession(null);
    expect(sockets[0]!.closed).toBe(true);
    socket().welcome({ epoch: "e9", seq: 0 }, "s_2");
    expect(socket().last("session.open")).not.toHaveProperty("session_id");
  });
});

describe("ping", () => {
  it("asks each heartbeat and stays when answered", () => {
    const { sockets, socket } = connect();
    socket().welcome();
    for (let i = 0; i < 4; i++) {
      vi.advanceTimersByTime(15_000);
      socket().say({ type: "pong", id: socket().last("ping").id });
    }
    expect(socket().sent.filter((f) => f.type === "ping")).toHaveLength(4);
    expect(sockets).toHaveLength(1);
  });

  it("leaves a socket that went silent", () => {
    const { sockets, socket, told } = connect();
    socket().welcome();
    vi.advanceTimersByTime(25_000);
    expect(sockets[0]!.closed).toBe(true);
    expect(told.statuses.at(-1)?.state).toBe("offline");
    vi.advanceTimersByTime(500);
    expect(sockets).toHaveLength(2);
  });
});
