import { describe, expect, it } from "vitest";

import { type Action, type AnswerEntry, type Conversation, EMPTY, reduce, runningTurn, unanswered, type UserEntry } from "../src/conversation";
import type { Message, SessionEvent } from "../src/protocol";

const opened: Action = { type: "opened", sessionId: "s_1", cursor: { epoch: "e1", seq: 0 } };

/** What a test says of an event: its type, and those fields that matter there. */
type Body = SessionEvent extends infer E ? (E extends SessionEvent ? Pick<E, "type"> & Partial<E> : never) : never;

function event(seq: number, body: Body, epoch = "e1"): Action {
  return { type: "event", event: { session_id: "s_1", epoch, seq, ...body } as SessionEvent };
}

function run(actions: Action[], state: Conversation = EMPTY): Conversation {
  return actions.reduce(reduce, state);
}

function message(role: Message["role"], text: string, more: Partial<Message> = {}): Message {
  return { message_id: `m_${role}`, role, parts: [{ type: "text", text }], turn_id: "t_1", created_at: "2026-01-01T00:00:00Z", ...more };
}

const asked = (seq: number): Action => event(seq, { type: "message.created", message: message("user", "What is this?") });
const delta = (seq: number, text: string): Action => event(seq, { type: "turn.delta", turn_id: "t_1", text });
const submitted: Action = { type: "submitted", submission: { clientMessageId: "c-1", text: "What is this?", images: [] } };
const acknowledged: Action = { type: "acknowledged", clientMessageId: "c-1", messageId: "m_user", turnId: "t_1" };

const turn: Action[] = [
  opened,
  asked(1),
  event(2, { type: "turn.started", turn_id: "t_1" }),
  delta(3, "A grey"),
  delta(4, " cat"),
  event(5, { type: "message.created", message: message("assistant", "A grey cat") }),
  event(6, {
    type: "turn.finished",
    turn_id: "t_1",
    status: "completed",
    images: [{ image_id: "i_1", seen: true, width: 4, height: 3 }],
  }),
];

const answer = (state: Conversation): AnswerEntry => state.entries.find((e) => e.kind === "answer")!;
const question = (state: Conversation): UserEntry => state.entries.find((e) => e.kind === "user")!;

describe("a turn", () => {
  it("grows by its deltas and ends as the committed message", () => {
    const streaming = run(turn.slice(0, 5));
    expect(answer(streaming)).toMatchObject({ status: "streaming", text: "A grey cat" });
    expect(runningTurn(streaming)?.turnId).toBe("t_1");
    const done = run(turn);
    expect(done.entries.map((e) => e.kind)).toEqual(["user", "answer"]);
    expect(answer(done)).toMatchObject({ status: "completed", text: "A grey cat", images: [{ seen: true }] });
    expect(runningTurn(done)).toBeNull();
    expect(done.cursor).toEqual({ epoch: "e1", seq: 6 });
  });

  it("is the same when every event comes twice, and from any overlap after a drop", () => {
    expect(run(turn.flatMap((a) => [a, a]))).toEqual(run(turn));
    for (let cut = 1; cut < turn.length; cut++) expect(run(turn.slice(1), run(turn.slice(0, cut)))).toEqual(run(turn));
  });

  it("reads a log whose deltas were left out", () => {
    const compacted = turn.filter((a) => !(a.type === "event" && a.event.type === "turn.delta"));
    expect(answer(run(compacted)).text).toBe("A grey cat");
    expect(run(compacted).entries).toEqual(run(turn).entries);
  });

  it("begins again when the server lost the text that it sent", () => {
    const again: Action[] = [
      ...turn.slice(0, 4),
      event(1_000_003, { type: "turn.started", turn_id: "t_1", attempt: 2, restart: true }),
      delta(1_000_004, "A black"),
    ];
    expect(answer(run(again))).toMatchObject({ status: "streaming", text: "A black" });
    const goneOn = [...turn.slice(0, 4), event(4, { type: "turn.started", turn_id: "t_1", attempt: 2, restart: false }), delta(5, " cat")];
    expect(answer(run(goneOn)).text).toBe("A grey cat");
  });

  it("takes the committed text over the deltas", () => {
    const state = run([...turn.slice(0, 4), event(5, { type: "message.created", message: message("assistant", "A black cat") })]);
    expect(answer(state)).toMatchObject({ text: "A black cat", status: "streaming" });
  });

  it("keeps what was seen when it is cancelled before the message", () => {
    const state = run([...turn.slice(0, 4), event(5, { type: "turn.finished", turn_id: "t_1", status: "cancelled" })]);
    expect(answer(state)).toMatchObject({ status: "cancelled", text: "A grey", images: [] });
  });

  it("shows a failure that came before anything else", () => {
    const error = { code: "engine_failed", message: "no memory" };
    const state = run([opened, asked(1), event(2, { type: "turn.finished", turn_id: "t_1", status: "failed", error })]);
    expect(answer(state)).toMatchObject({ status: "failed", error });
  });

  it("tells what goes on before the first word", () => {
    const queued = run([opened, asked(1), event(2, { type: "turn.queued", turn_id: "t_1", position: 2 })]);
    expect(answer(queued)).toMatchObject({ status: "waiting", activity: { stage: "queued", position: 2 } });
    const working = run([event(3, { type: "turn.progress", turn_id: "t_1", stage: "prefill", done: 1, total: 3 })], queued);
    expect(answer(working).activity).toEqual({ stage: "prefill", done: 1, total: 3 });
    expect(answer(run([delta(4, "A")], working)).activity).toBeNull();
    const called = event(4, { type: "tool.called", turn_id: "t_1", name: "caption" });
    expect(answer(run([called], working)).activity).toEqual({ stage: "tool", name: "caption" });
  });

  it("keeps tool parts apart from the text", () => {
    const parts: Message["parts"] = [
      { type: "tool_call", name: "caption", arguments: {} },
      { type: "tool_result", name: "caption", result: { text: "x" } },
      { type: "text", text: "x" },
    ];
    const state = run([opened, event(1, { type: "message.created", message: message("assistant", "", { parts }) })]);
    expect(answer(state)).toMatchObject({ text: "x", status: "completed", tools: [{ type: "tool_call" }, { type: "tool_result" }] });
  });

  it("holds the weights of the picture while they fit the text", () => {
    const tokens = [
      { text: "A", image_weight: 0.1 },
      { text: " grey", image_weight: 0.6 },
    ];
    const streaming = run([opened, asked(1), event(2, { type: "turn.delta", turn_id: "t_1", text: "A grey", tokens })]);
    const ranges = [
      { start: 0, end: 1, weight: 0.1 },
      { start: 1, end: 6, weight: 0.6 },
    ];
    expect(answer(streaming).weights).toEqual(ranges);
    const same = event(3, { type: "message.created", message: message("assistant", "A grey") });
    const other = event(3, { type: "message.created", message: message("assistant", "A red") });
    expect(answer(run([same], streaming)).weights).toEqual(ranges);
    expect(answer(run([other], streaming)).weights).toEqual([]);
  });
});

describe("what the user sends", () => {
  it.each([
    ["the answer first", [acknowledged, asked(1)]],
    ["the event first", [asked(1), acknowledged]],
  ])("is shown at once, and only once: %s", (_, actions) => {
    const sending = run([opened, submitted]);
    expect(question(sending)).toMatchObject({ state: "sending", key: "c-1" });
    const state = run(actions, sending);
    expect(state.entries).toHaveLength(1);
    expect(question(state)).toMatchObject({ state: "sent", key: "c-1", messageId: "m_user", turnId: "t_1" });
    expect(unanswered(state)).not.toBeNull();
    expect(unanswered(run([delta(2, "A")], state))).toBeNull();
  });

  it("is shown once when the log words it otherwise", () => {
    const changed = event(1, { type: "message.created", message: message("user", "/caption") });
    expect(run([opened, submitted, changed, acknowledged]).entries).toHaveLength(1);
    expect(run([opened, submitted, acknowledged, changed]).entries).toHaveLength(1);
  });

  it("stays last until the log has it, also when the log is read anew", () => {
    const older = message("user", "Before", { message_id: "m_0", turn_id: "t_0" });
    const state = run([opened, submitted, acknowledged, event(1, { type: "message.created", message: older })]);
    expect(state.entries.map((e) => e.kind === "user" && e.text)).toEqual(["Before", "What is this?"]);
    expect(run([asked(2)], state).entries.map((e) => e.kind === "user" && e.state)).toEqual(["sent", "sent"]);
  });

  it("can be refused, sent again and discarded", () => {
    const refused = run([opened, submitted, { type: "refused", clientMessageId: "c-1", message: "Too many." }]);
    expect(question(refused)).toMatchObject({ state: "refused", error: "Too many." });
    expect(unanswered(refused)).toBeNull();
    expect(question(run([submitted], refused)).state).toBe("sending");
    expect(run([{ type: "discarded", clientMessageId: "c-1" }], refused).entries).toEqual([]);
  });

  it("outlives a log that begins again", () => {
    const state = run([...turn, submitted, { type: "opened", sessionId: "s_1", cursor: { epoch: "e2", seq: 0 } }]);
    expect(state.entries).toMatchObject([{ key: "c-1", state: "sending" }]);
    expect(state.cursor).toEqual({ epoch: "e2", seq: 0 });
  });
});

describe("resume", () => {
  it("goes on where it was in the same epoch", () => {
    const state = run(turn.slice(0, 4));
    expect(run([{ type: "opened", sessionId: "s_1", cursor: { epoch: "e1", seq: 4 } }], state)).toBe(state);
  });

  it("is replaced by a snapshot", () => {
    const messages = [message("user", "Old"), message("assistant", "Answer")];
    const state = run([...turn, event(90, { type: "session.snapshot", messages }, "e2"), delta(90, "dropped")]);
    expect(state.cursor).toEqual({ epoch: "e1", seq: 90 });
    const fresh = run([...turn, event(90, { type: "session.snapshot", messages }, "e2")]);
    expect(fresh.entries).toMatchObject([
      { kind: "user", text: "Old", state: "sent" },
      { kind: "answer", text: "Answer", status: "completed" },
    ]);
    expect(fresh.cursor).toEqual({ epoch: "e2", seq: 90 });
    const late: Action = event(90, { type: "turn.delta", turn_id: "t_9", text: "twice" }, "e2");
    expect(run([late], fresh)).toBe(fresh);
  });

  it("leaves events of other sessions alone", () => {
    const state = run(turn);
    const other: Action = { type: "event", event: { type: "turn.started", turn_id: "t_2", session_id: "s_2", epoch: "e1", seq: 99 } as unknown as SessionEvent };
    expect(run([other], state)).toBe(state);
  });
});
