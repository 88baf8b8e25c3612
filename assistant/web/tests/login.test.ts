import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Chat } from "../src/chat";
import { logIn, logOut } from "../src/login";
import { FakeSocket } from "./fakes";

const asked = vi.fn<(url: string, options: RequestInit) => Promise<Response>>();
const kept = new Map<string, string>();

beforeEach(() => {
  asked.mockReset();
  kept.clear();
  vi.stubGlobal("fetch", asked);
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});
afterEach(() => void vi.unstubAllGlobals());

function load() {
  const sockets: FakeSocket[] = [];
  const chat = new Chat("ws://test/v1/ws", {
    createSocket: (_url, subprotocol) => {
      sockets.push(new FakeSocket(subprotocol));
      return sockets.at(-1)!;
    },
  });
  chat.start();
  return { chat, sockets, socket: () => sockets.at(-1)! };
}

const hello = { type: "hello", protocol: 1, server: "fake", heartbeat_seconds: 15, limits: {} };

describe("the key", () => {
  it("goes to the server in a header, with one that other origins cannot send", async () => {
    asked.mockResolvedValue(new Response("{}"));
    expect(await logIn("va_x")).toBeNull();
    const [url, options] = asked.mock.calls[0]!;
    expect(url).toBe("/v1/login");
    expect(options.headers).toEqual({ Authorization: "Bearer va_x", "X-Requested-With": "page" });
  });

  it("is not taken, in the server's words", async () => {
    asked.mockResolvedValue(new Response("No such key.\n", { status: 401 }));
    expect(await logIn("va_x")).toBe("No such key.");
    asked.mockRejectedValue(new TypeError("network"));
    expect(await logIn("va_x")).toContain("does not answer");
    expect(await logOut()).toBe(false);
  });

  it("is not sent where it cannot be one", async () => {
    expect(await logIn("my key")).toContain("no spaces");
    expect(await logIn("schlüssel")).toContain("plain letters");
    expect(asked).not.toHaveBeenCalled();
  });
});

describe("the page", () => {
  it("asks for a key, and connects once it is taken", async () => {
    const { chat, sockets, socket } = load();
    socket().say(hello);
    socket().refuse("auth", "auth_required");
    expect(chat.snapshot.status.wantsKey).toBe(true);
    asked.mockResolvedValueOnce(new Response("Wrong.", { status: 401 }));
    expect(await chat.logIn("va_wrong")).toBe("Wrong.");
    expect(sockets).toHaveLength(1);
    asked.mockResolvedValueOnce(new Response("{}"));
    expect(await chat.logIn("va_right")).toBeNull();
    expect(sockets).toHaveLength(2);
    socket().say(hello);
    expect(socket().last("auth")["token"]).toBeNull(); // The cookie says it.
    socket().ack("auth", { owner: "ada" });
    socket().ack("session.open", { session_id: "s_1", cursor: { epoch: "e1", seq: 0 } });
    expect(chat.isLoggedIn).toBe(true);
    expect([...kept.values()].join()).not.toContain("va_right");
  });

  it("asks for another key when this one is revoked, and does not come back by itself", () => {
    vi.useFakeTimers();
    const { chat, sockets, socket } = load();
    socket().welcome();
    socket().drop(4001, "token revoked");
    expect(chat.snapshot.status).toMatchObject({ wantsKey: true, stopped: true });
    vi.advanceTimersByTime(120_000);
    expect(sockets).toHaveLength(1);
    vi.useRealTimers();
  });

  it("goes on without a key where the old one is no longer good", async () => {
    const { chat, sockets, socket } = load();
    socket().say(hello);
    socket().refuse("auth", "auth_invalid");
    asked.mockResolvedValue(new Response("{}"));
    await chat.goWithoutKey();
    expect(asked.mock.calls[0]![0]).toBe("/v1/logout");
    expect(sockets).toHaveLength(2);
    socket().welcome();
    expect(chat.isLoggedIn).toBe(false);
  });

  it("forgets whoever logs out", async () => {
    const { chat, socket } = load();
    socket().say(hello);
    socket().ack("auth", { owner: "ada" });
    socket().ack("session.open", { session_id: "s_1", cursor: { epoch: "e1", seq: 0 } });
    kept.set("assistant.draft", '"mine"');
    asked.mockResolvedValueOnce(new Response("", { status: 503 }));
    expect(await chat.logOut()).toBe(false);
    expect(chat.snapshot.notice).toContain("still logged in");
    asked.mockResolvedValueOnce(new Response("{}"));
    expect(await chat.logOut()).toBe(true);
    expect([...kept.keys()]).toEqual([]);
    expect(chat.snapshot.status.stopped).toBe(true);
  });
});
