import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { branch } from "../src/branches";
import { atHand, Chat } from "../src/chat";
import type { AnswerEntry, UserEntry } from "../src/conversation";
import { FakeSocket } from "./fakes";

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 25));
const cat = (name = "cat.png"): File => new File([new Uint8Array(50)], name, { type: "image/png" });

/** A page that was loaded: what it remembers stays from one to the next. */
function load() {
  const sockets: FakeSocket[] = [];
  const chat = new Chat("ws://test/v1/ws", {
    createSocket: (_url, subprotocol) => {
      sockets.push(new FakeSocket(subprotocol));
      return sockets.at(-1)!;
    },
    random: () => 0,
  });
  chat.start();
  return { chat, socket: () => sockets.at(-1)!, entries: () => chat.snapshot.conversation.entries };
}

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});
afterEach(() => void vi.unstubAllGlobals());

const log = (seq: number, body: object): object => ({ session_id: "s_1", epoch: "e1", seq, ...body });

describe("teaching", () => {
  it("remembers the attached picture beside the conversation, and says so", async () => {
    const { chat, socket, entries } = load();
    socket().welcome();
    chat.attach([cat()]);
    await vi.waitFor(() => socket().last("image.begin"));
    socket().ack("image.begin", { image_id: "i_1" });
    await vi.waitFor(() => expect(chat.snapshot.attachments[0]?.state).toBe("ready"));
    expect(chat.send("/remember this is our dog Rex")).toBe(true);
    expect(socket().last("memory.add")).toMatchObject({ image_id: "i_1", text: "this is our dog Rex" });
    socket().ack("memory.add", { memory: { memory_id: "k_1", text: "our dog Rex" }, count: 1 });
    await settle();
    expect(chat.snapshot.notice).toBe("Remembered: our dog Rex");
    expect(chat.snapshot.attachments).toEqual([]);
    expect(entries()).toEqual([]);
  });

  it("takes the picture asked about last, or asks for one", async () => {
    const { chat, socket } = load();
    socket().welcome();
    expect(chat.send("/remember our dog")).toBe(true);
    expect(chat.snapshot.notice).toBe("Attach the picture that shall be remembered.");
    const parts = [{ type: "image", image_id: "i_7" }];
    socket().say(log(1, { type: "message.created", message: { message_id: "m", role: "user", parts, turn_id: "t" } }));
    socket().say(log(2, { type: "turn.finished", turn_id: "t", status: "completed", notes: ["Not remembered."] }));
    expect(chat.snapshot.conversation.entries.at(-1)).toMatchObject({ notes: ["Not remembered."] });
    chat.send("/remember our dog");
    expect(socket().last("memory.add")).toMatchObject({ image_id: "i_7", text: "our dog" });
    socket().refuse("memory.add", "too_many_memories");
    await settle();
    expect(chat.snapshot.notice).toBe("too_many_memories!");
  });

  it("lists and forgets", async () => {
    const { chat, socket } = load();
    socket().welcome();
    chat.send("/memories");
    const memories = ["our dog Rex", "our dog Rex", "a vase"].map((text, n) => ({ memory_id: `k_${n}`, text }));
    socket().ack("memory.list", { memories });
    await settle();
    expect(chat.snapshot.notice).toBe("Taught so far: our dog Rex, a vase");
    chat.send("/forget a vase");
    expect(socket().last("memory.remove")).toMatchObject({ memory: "a vase" });
    socket().ack("memory.remove", { removed: memories.slice(2) });
    await settle();
    expect(chat.snapshot.notice).toBe("Forgotten: a vase");
    expect(chat.send("/memorable day")).toBe(true);
    expect(socket().last("turn.submit")).toMatchObject({ text: "/memorable day" });
  });
});

describe("sending", () => {
  it("leaves the composer once, and is busy until the turn ends", async () => {
    const { chat, socket, entries } = load();
    socket().welcome();
    expect(chat.send("  ")).toBe(false);
    expect(chat.send(" hi ")).toBe(true);
    expect(chat.busy).toBe(true);
    expect(chat.send("again")).toBe(false);
    expect(socket().last("turn.submit")).toMatchObject({ session_id: "s_1", text: "hi", images: [] });
    socket().ack("turn.submit", { turn_id: "t_1", message_id: "m_1" });
    await settle();
    socket().say(log(1, { type: "turn.finished", turn_id: "t_1", status: "completed" }));
    expect(chat.busy).toBe(false);
    expect(entries()).toHaveLength(2);
    expect(chat.snapshot.announcement).toBe("Answer: ");
  });

  it("waits for the conversation to be open, and then goes by itself, once", () => {
    const { chat, socket } = load();
    let cleared = 0;
    chat.onSent = () => cleared++;
    expect(chat.send("early")).toBe(false);
    expect(chat.snapshot.sendWhenReady).toBe(true);
    socket().welcome();
    expect(cleared).toBe(1);
    const submits = socket().sent.filter(({ type }) => type === "turn.submit");
    expect(submits).toMatchObject([{ session_id: "s_1", text: "early" }]);
  });

  it("waits for pictures, and then goes by itself", async () => {
    const { chat, socket } = load();
    socket().welcome();
    chat.attach([cat()]);
    let cleared = false;
    chat.onSent = () => (cleared = true);
    expect(chat.send("what?")).toBe(false);
    expect(chat.snapshot.sendWhenReady).toBe(true);
    await settle();
    socket().ack("image.begin", { offset: 0 });
    await settle();
    socket().ack("image.end", { image_id: "i_1" });
    await settle();
    expect(cleared).toBe(true);
    expect(socket().last("turn.submit")).toMatchObject({ text: "what?", images: ["i_1"] });
    expect(chat.snapshot.attachments).toEqual([]);
    expect(chat.picture("i_1")).toMatchObject({ name: "cat.png", url: expect.stringMatching(/^blob:/) as string });
    expect(chat.picture("i_2")).toEqual({ name: null, url: "/v1/images/i_2?session=s_1" });
  });

  it("never drops a picture in silence: one that failed holds the message", async () => {
    const { chat, socket } = load();
    socket().welcome();
    chat.attach([cat()]);
    await settle();
    socket().refuse("image.begin", "image_unsupported");
    await settle();
    expect(chat.snapshot.attachments).toMatchObject([{ state: "error", error: "image_unsupported!" }]);
    expect(chat.send("what?")).toBe(false);
    chat.detach(chat.snapshot.attachments[0]!.key);
    expect(chat.send("what?")).toBe(true);
  });

  it("takes a refused message up again, with its pictures", async () => {
    const { chat, socket, entries } = load();
    socket().welcome();
    chat.attach([cat()]);
    await settle();
    socket().ack("image.begin", { image_id: "i_1" });
    await settle();
    chat.send("what?");
    socket().refuse("turn.submit", "too_many_images");
    await settle();
    const refused = entries()[0]!;
    expect(refused).toMatchObject({ state: "refused", error: "too_many_images!" });
    chat.edit(refused as UserEntry);
    expect(atHand(chat.snapshot)).toMatchObject([{ state: "ready", name: "cat.png", imageId: "i_1" }]);
    chat.detach(atHand(chat.snapshot)[0]!.key);
    expect(entries()).toEqual([refused]);
    expect(chat.send("what then?")).toBe(true);
    expect(entries()).toMatchObject([{ text: "what then?", images: [], state: "sending" }]);
    expect(socket().last("turn.submit")).not.toHaveProperty("parent");
  });

  it("sends a refused message again, or forgets it", async () => {
    const { chat, socket, entries } = load();
    socket().welcome();
    chat.send("hi");
    const { client_message_id: id } = socket().last("turn.submit");
    socket().refuse("turn.submit", "too_many_turns");
    await settle();
    chat.again(entries()[0] as UserEntry);
    expect(socket().last("turn.submit")).toMatchObject({ text: "hi" });
    expect(socket().last("turn.submit")["client_message_id"]).not.toBe(id);
    socket().refuse("turn.submit", "too_many_turns");
    await settle();
    expect(entries()).toHaveLength(1);
    chat.discardRefused(entries()[0]!.key);
    expect(entries()).toEqual([]);
  });

  it("sends what was not acknowledged again after a reload, under the same id", async () => {
    const first = load();
    first.socket().welcome();
    first.chat.send("hi");
    const { client_message_id: id } = first.socket().last("turn.submit");
    const second = load();
    second.socket().welcome();
    expect(second.socket().last("session.open")["session_id"]).toBe("s_1");
    expect(second.socket().last("turn.submit")["client_message_id"]).toBe(id);
    expect(second.entries()).toMatchObject([{ kind: "user", text: "hi", state: "sending" }]);
    second.socket().ack("turn.submit", { turn_id: "t_1", message_id: "m_1", duplicate: true });
    await settle();
    const third = load();
    third.socket().welcome();
    expect(third.socket().sent.map((f) => f.type)).toEqual(["auth", "session.open"]);
  });
});

/** A page with a conversation of one question, that has a picture, and its answer. */
function answered() {
  const page = load();
  page.socket().welcome();
  const said = (message_id: string, role: string, parts: object[], parent?: string): object => ({ message_id, role, parts, turn_id: "t_1", parent });
  const asked = [{ type: "image", image_id: "i_1", width: 4, height: 3 }, { type: "text", text: "What is it?" }];
  page.socket().say(log(1, { type: "message.created", message: said("q", "user", asked) }));
  page.socket().say(log(2, { type: "message.created", message: said("q.t_1", "assistant", [{ type: "text", text: "A cat" }], "q") }));
  page.socket().say(log(3, { type: "turn.finished", turn_id: "t_1", status: "completed", images: [] }));
  const texts = (): string[] => branch(page.chat.snapshot.conversation).map(({ entry }) => entry.text);
  return { ...page, texts, question: () => page.entries()[0] as UserEntry, answer: () => page.entries()[1] as AnswerEntry };
}

describe("editing", () => {
  it("submits another version with the pictures of the first, and can go back to that", async () => {
    const { chat, socket, question, texts } = answered();
    chat.edit(question());
    expect(atHand(chat.snapshot)).toMatchObject([{ imageId: "i_1", state: "ready", url: "/v1/images/i_1?session=s_1" }]);
    expect(chat.send("What colour is it?")).toBe(true);
    expect(socket().last("turn.submit")).toMatchObject({ text: "What colour is it?", images: ["i_1"], parent: "root" });
    expect(chat.snapshot).toMatchObject({ editing: null, attachments: [] });
    expect(texts()).toEqual(["What colour is it?"]);
    socket().ack("turn.submit", { turn_id: "t_2", message_id: "q2" });
    await settle();
    const created = { message_id: "q2", role: "user", parts: [{ type: "text", text: "What colour is it?" }], turn_id: "t_2" };
    socket().say(log(4, { type: "message.created", message: created }));
    socket().say(log(5, { type: "turn.finished", turn_id: "t_2", status: "completed" }));
    expect(branch(chat.snapshot.conversation)[0]).toMatchObject({ version: 2, versions: 2 });
    chat.showVersion(chat.snapshot.conversation.entries[2]!.key, -1);
    expect(texts()).toEqual(["What is it?", "A cat"]);
    expect(chat.snapshot.announcement).toBe("Version 1 of 2");
    chat.send("And this?");
    expect(socket().last("turn.submit")).toMatchObject({ text: "And this?", parent: "q.t_1" });
    expect(texts()).toEqual(["What is it?", "A cat", "And this?"]);
  });

  it("leaves the next message's pictures alone, and everything when it is cancelled", async () => {
    const { chat, socket, question, texts } = answered();
    chat.attach([cat("next.png")]);
    await vi.waitFor(() => socket().last("image.begin"));
    chat.edit(question());
    chat.edit(question());
    expect(atHand(chat.snapshot)).toHaveLength(1);
    socket().ack("image.begin", { image_id: "i_2" });
    await settle();
    chat.cancelEdit();
    expect(atHand(chat.snapshot)).toMatchObject([{ imageId: "i_2", state: "ready", name: "next.png" }]);
    expect(texts()).toEqual(["What is it?", "A cat"]);
    chat.send("And this?");
    expect(socket().last("turn.submit")).toMatchObject({ images: ["i_2"] });
    expect(socket().last("turn.submit")).not.toHaveProperty("parent");
  });

  it("is not sent when it is cancelled, or left for another conversation, while its pictures are on their way", async () => {
    const { chat, socket, question } = answered();
    for (const leave of [() => chat.cancelEdit(), () => chat.newConversation()]) {
      chat.edit(question());
      chat.attach([cat()]);
      expect(chat.send("What colour?")).toBe(false);
      expect(chat.snapshot.sendWhenReady).toBe(true);
      leave();
      expect(chat.snapshot).toMatchObject({ editing: null, attachments: [], sendWhenReady: false });
      await settle();
      expect(socket().sent.map((f) => f.type)).not.toContain("turn.submit");
    }
  });

  it("keeps its place when it is refused, over a reload and when it is sent again", async () => {
    const { chat, socket, question } = answered();
    chat.edit(question());
    chat.send("What colour?");
    const later = load();
    later.socket().welcome();
    expect(later.socket().last("turn.submit")).toMatchObject({ parent: "root", text: "What colour?" });
    socket().refuse("turn.submit", "too_many_turns");
    await settle();
    const [refused] = branch(chat.snapshot.conversation);
    expect(refused).toMatchObject({ version: 2, entry: { state: "refused" } });
    chat.again(refused!.entry as UserEntry);
    expect(socket().last("turn.submit")).toMatchObject({ parent: "root", text: "What colour?" });
  });
});

describe("asking again", () => {
  it("has the question answered once more, beside the first answer", async () => {
    const { chat, socket, answer, texts } = answered();
    chat.askAgain(answer());
    const { client_message_id: id, ...asked } = socket().last("turn.regenerate");
    expect(asked).toEqual({ type: "turn.regenerate", id: expect.any(String) as string, session_id: "s_1", message_id: "q" });
    expect(load().socket().sent).toEqual([]);
    expect(JSON.parse(localStorage.getItem("assistant.unsent")!)).toMatchObject([{ clientMessageId: id, regenerates: "q" }]);
    expect(chat.busy).toBe(true);
    expect(texts()).toEqual(["What is it?", ""]);
    chat.stop();
    socket().ack("turn.regenerate", { turn_id: "t_2", message_id: "q" });
    await settle();
    expect(socket().last("turn.cancel")).toMatchObject({ turn_id: "t_2" });
    socket().say(log(4, { type: "turn.delta", turn_id: "t_2", text: "A grey" }));
    socket().say(log(5, { type: "turn.finished", turn_id: "t_2", status: "cancelled" }));
    expect(chat.busy).toBe(false);
    expect(texts()).toEqual(["What is it?", "A grey"]);
    expect(branch(chat.snapshot.conversation)[1]).toMatchObject({ version: 2, versions: 2 });
  });

  it("shows the first answer and says why when it is refused", async () => {
    const { chat, socket, answer, texts } = answered();
    chat.askAgain(answer());
    socket().refuse("turn.regenerate", "too_many_turns");
    await settle();
    expect(chat.snapshot.notice).toBe("Not asked again. too_many_turns!");
    expect(texts()).toEqual(["What is it?", "A cat"]);
    expect(chat.busy).toBe(false);
  });
});

describe("stopping", () => {
  it("tells how many characters were seen, in code points", async () => {
    const { chat, socket } = load();
    socket().welcome();
    chat.send("hi");
    socket().ack("turn.submit", { turn_id: "t_1", message_id: "m_1" });
    await settle();
    socket().say(log(1, { type: "turn.delta", turn_id: "t_1", text: "a 🐈" }));
    chat.stop();
    expect(socket().last("turn.cancel")).toEqual({ type: "turn.cancel", id: expect.any(String) as string, turn_id: "t_1", seen_chars: 3 });
    expect(chat.snapshot.stopping).toBe(true);
    socket().say(log(2, { type: "turn.finished", turn_id: "t_1", status: "cancelled" }));
    expect(chat.snapshot.stopping).toBe(false);
  });

  it("works before the turn has an id", async () => {
    const { chat, socket } = load();
    socket().welcome();
    chat.send("hi");
    chat.stop();
    socket().ack("turn.submit", { turn_id: "t_1", message_id: "m_1" });
    await settle();
    expect(socket().last("turn.cancel")).toMatchObject({ turn_id: "t_1", seen_chars: 0 });
  });
});

describe("conversations", () => {
  it("starts a new one and forgets the old", () => {
    const { chat, socket, entries } = load();
    socket().welcome();
    socket().say(log(1, { type: "message.created", message: { message_id: "m", role: "user", parts: [{ type: "text", text: "hi" }] } }));
    expect(entries()).toHaveLength(1);
    chat.newConversation();
    socket().welcome({ epoch: "e1", seq: 0 }, "s_2");
    expect(entries()).toEqual([]);
    expect(load().socket()).toBeDefined();
    expect(localStorage.getItem("assistant.session")).toBe('"s_2"');
  });

  it("says so when the old one is gone, and sends nothing that was written for it", () => {
    localStorage.setItem("assistant.session", '"s_old"');
    const { chat, socket } = load();
    chat.send("early");
    socket().say({ type: "hello", protocol: 1, heartbeat_seconds: 15, limits: {} });
    socket().ack("auth");
    socket().refuse("session.open", "session_not_found");
    socket().ack("session.open", { session_id: "s_1", cursor: { epoch: "e1", seq: 0 } });
    expect(chat.snapshot.notice).toMatch(/no longer on the server/);
    expect(chat.snapshot.sendWhenReady).toBe(false);
    expect(socket().sent.map(({ type }) => type)).not.toContain("turn.submit");
  });

  it("does not read out answers of a replayed log", () => {
    const { chat, socket } = load();
    socket().welcome();
    socket().say(log(1, { type: "turn.delta", turn_id: "t_0", text: "old" }));
    socket().say(log(2, { type: "turn.finished", turn_id: "t_0", status: "completed" }));
    expect(chat.snapshot.announcement).toBe("");
  });
});

describe("other conversations", () => {
  it("are opened in the place of this one", async () => {
    const { chat, socket, entries } = load();
    socket().welcome();
    socket().say(log(1, { type: "message.created", message: { message_id: "m_1", role: "user", parts: [{ type: "text", text: "hi" }], turn_id: "t_1" } }));
    expect(entries()).toHaveLength(1);
    chat.openConversation("s_1");
    expect(entries()).toHaveLength(1);
    chat.openConversation("s_2");
    expect(entries()).toEqual([]);
    socket().welcome({ epoch: "e1", seq: 0 }, "s_2");
    expect(socket().last("session.open")).toMatchObject({ session_id: "s_2" });
    expect(chat.snapshot.conversation.sessionId).toBe("s_2");
  });

  it("begin where this one was deleted, and the page says so", async () => {
    const { chat, socket } = load();
    socket().welcome();
    socket().say({ type: "session.deleted", session_id: "s_1" });
    socket().welcome({ epoch: "e2", seq: 0 }, "s_2");
    expect(socket().last("session.open")).not.toHaveProperty("session_id");
    expect(chat.snapshot.notice).toContain("was deleted");
  });
});
