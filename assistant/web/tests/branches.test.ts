import { describe, expect, it } from "vitest";

import { branch, nextParent, otherVersion, parentOf } from "../src/branches";
import { type Action, type Conversation, EMPTY, reduce, runningTurn } from "../src/conversation";
import type { Message, SessionEvent } from "../src/protocol";

const opened: Action = { type: "opened", sessionId: "s_1", cursor: { epoch: "e1", seq: 0 } };
const run = (actions: Action[], state: Conversation = EMPTY): Conversation => actions.reduce(reduce, state);

let seq = 0;
const event = (body: object): Action => ({ type: "event", event: { session_id: "s_1", epoch: "e1", seq: ++seq, ...body } as SessionEvent });
const said = (message_id: string, parent: string | null, turn_id: string): Message => ({
  message_id,
  role: message_id.includes(".") ? "assistant" : "user",
  parts: [{ type: "text", text: message_id }],
  turn_id,
  created_at: "2026-01-01T00:00:00Z",
  ...(parent !== null && { parent }),
});
const created = (message: Message): Action => event({ type: "message.created", message });
const ask = (id: string, parent: string | null, turn: string): Action => created(said(id, parent, turn));
/** A turn's answer to a question, from start to end. */
const answer = (question: string, turn: string): Action[] => [
  event({ type: "turn.started", turn_id: turn, attempt: 1, message_id: question }),
  created(said(`${question}.${turn}`, question, turn)),
  event({ type: "turn.finished", turn_id: turn, status: "completed", images: [] }),
];
const submitted = (clientMessageId: string, more: object = {}): Action => ({
  type: "submitted",
  submission: { clientMessageId, text: clientMessageId, images: [], ...more },
});
const acknowledged = (clientMessageId: string, messageId: string, turnId: string): Action => ({ type: "acknowledged", clientMessageId, messageId, turnId });

/** The branch in short: each message's id, or key while it has none, and which version of how many it is. */
function shown(state: Conversation): string[] {
  return branch(state).map(({ entry, version, versions }) => {
    const name = entry.messageId ?? entry.key;
    return versions > 1 ? `${name} ${version}/${versions}` : name;
  });
}

/** q: answered twice (a1, a2), the second answer followed by r. p: q in another version, answered. */
const grown = (): Action[] => [
  opened,
  ask("q", null, "1"),
  ...answer("q", "1"),
  ...answer("q", "2"),
  ask("r", "q.2", "3"),
  ...answer("r", "3"),
  ask("p", null, "4"),
  ...answer("p", "4"),
];

describe("the branch", () => {
  it("is the one that ends with the newest message", () => {
    expect(shown(run(grown()))).toEqual(["p 2/2", "p.4"]);
    expect(shown(run([...grown(), ask("s", "q.1", "5")]))).toEqual(["q 1/2", "q.1 1/2", "s"]);
    expect(shown(EMPTY)).toEqual([]);
  });

  it("goes through the version that the reader chose, to the newest message after it", () => {
    const first = run([...grown(), { type: "chosen", key: "q" }]);
    expect(shown(first)).toEqual(["q 1/2", "q.2 2/2", "r", "r.3"]);
    expect(shown(run([{ type: "chosen", key: "1" }], first))).toEqual(["q 1/2", "q.1 1/2"]);
    const elsewhere = [ask("o", "p.4", "6"), ...answer("o", "6")];
    expect(shown(run(elsewhere, first))).toEqual(shown(first));
    expect(shown(run([ask("n", "r.3", "7")], first))).toEqual(["q 1/2", "q.2 2/2", "r", "r.3", "n"]);
    expect(shown(run([{ type: "chosen", key: "none" }], first))).toEqual(["p 2/2", "p.4"]);
  });

  it("is the same from a snapshot, with all versions", () => {
    const live = run(grown());
    const messages = grown().flatMap((a) => (a.type === "event" && a.event.type === "message.created" ? [a.event.message] : []));
    const fresh = run([opened, event({ type: "session.snapshot", messages })]);
    expect(shown(fresh)).toEqual(shown(live));
    for (const key of ["q", "r"]) {
      const chosen: Action = { type: "chosen", key };
      expect(shown(run([chosen], fresh))).toEqual(shown(run([chosen], live)));
    }
  });

  it("names a place the same for all versions of a message, and while one is being sent", () => {
    const places = (state: Conversation): string[] => branch(state).map((s) => s.place);
    const state = run(grown());
    expect(places(run([{ type: "chosen", key: "1" }], state))).toEqual(places(run([{ type: "chosen", key: "q" }], state)).slice(0, 2));
    const sending = run([submitted("c", { parent: "q.1" })], state);
    expect(places(run([acknowledged("c", "m", "9"), ask("m", "q.1", "9")], sending))).toEqual(places(sending));
    expect(new Set(places(run([{ type: "chosen", key: "q" }], state))).size).toBe(4);
  });

  it("has a message after an answer that is not there yet, or never comes", () => {
    const both = run([opened, ask("q", null, "1"), ask("r", "q.1", "2")]);
    expect(shown(both)).toEqual(["q", "r"]);
    expect(shown(run(answer("q", "1"), both))).toEqual(["q", "q.1", "r"]);
    const failed = event({ type: "turn.finished", turn_id: "1", status: "failed", error: { code: "engine_failed", message: "x" } });
    const after = run([failed], both);
    expect(shown(after)).toEqual(["q", "1", "r"]);
    expect(parentOf(after, "r")).toBe("q");
  });
});

describe("an answer that is made again", () => {
  const base = (): Action[] => [opened, ask("q", null, "1"), ...answer("q", "1")];
  const again = submitted("c", { regenerates: "q" });

  it("is shown at once beside the first, and once only", () => {
    const wished = run([...base(), again]);
    expect(shown(wished)).toEqual(["q", "c 2/2"]);
    expect(runningTurn(wished)).toMatchObject({ key: "c", turnId: null });
    const told = acknowledged("c", "q", "2");
    const events = answer("q", "2");
    for (const actions of [[told, ...events], [events[0]!, told, ...events.slice(1)], [...events, told]]) {
      const state = run(actions, wished);
      expect(shown(state)).toEqual(["q", "q.2 2/2"]);
      expect(runningTurn(state)).toBeNull();
      expect(state.entries).toHaveLength(3);
    }
  });

  it("belongs to its question, though another device asked, and before its start is told", () => {
    const queued = event({ type: "turn.queued", turn_id: "2", position: 1 });
    expect(shown(run([...base(), ask("r", "q.1", "5"), ...answer("r", "5"), queued, ...answer("q", "2")]))).toEqual(["q", "q.2 2/2"]);
  });

  it("is wished for still when the log begins again", () => {
    const anew: Action = { type: "opened", sessionId: "s_1", cursor: { epoch: "e2", seq: 0 } };
    expect(run([...base(), again, anew]).entries).toMatchObject([{ key: "c", turnId: null }]);
  });
});

describe("what is sent", () => {
  it("says what it follows only where that is not the newest message", () => {
    const state = run(grown());
    expect(nextParent(state)).toBeUndefined();
    expect(nextParent(run([{ type: "chosen", key: "p" }], state))).toBeUndefined();
    expect(nextParent(run([{ type: "chosen", key: "q" }], state))).toBe("r.3");
    expect(nextParent(EMPTY)).toBeUndefined();
    const refused: Action = { type: "refused", clientMessageId: "c", message: "no" };
    expect(nextParent(run([submitted("c", { parent: "q.1" }), refused], state))).toBe("q.1");
    expect(nextParent(run([submitted("c", { parent: "root" }), refused], state))).toBe("root");
  });

  it("hangs on what it follows, or on the newest branch, until the log says so", () => {
    const state = run(grown());
    expect(shown(run([submitted("c", { parent: "q.1" })], state))).toEqual(["q 1/2", "q.1 1/2", "c"]);
    expect(shown(run([submitted("c", { parent: "root" })], state))).toEqual(["c 3/3"]);
    const floating = run([submitted("c"), { type: "refused", clientMessageId: "c", message: "no" }, submitted("d")], state);
    expect(shown(floating)).toEqual(["p 2/2", "p.4", "c", "d"]);
    const other = run([acknowledged("d", "m", "9"), ask("m", "p.4", "9"), ...answer("m", "9")], floating);
    expect(shown(other)).toEqual(["p 2/2", "p.4", "m", "m.9", "c"]);
    expect(parentOf(other, "c")).toBeUndefined();
  });

  it("has the parent of what it edits", () => {
    const state = run(grown());
    expect(parentOf(state, "p")).toBe("root");
    expect(parentOf(state, "r")).toBe("q.2");
  });
});

describe("versions", () => {
  it("are gone through one by one, to either end", () => {
    const state = run(grown());
    expect(otherVersion(state, "p", -1)).toMatchObject({ entry: { messageId: "q" }, version: 1, versions: 2 });
    expect(otherVersion(state, "p", 1)).toBeNull();
    expect(otherVersion(state, "q", -1)).toBeNull();
    expect(otherVersion(state, "none", 1)).toBeNull();
  });
});
