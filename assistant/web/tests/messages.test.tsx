import type { ComponentProps, KeyboardEvent, ReactElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";

import { Chat, type Snapshot } from "../src/chat";
import { Composer } from "../src/components/Composer";
import { ConversationView } from "../src/components/ConversationView";
import { Versions } from "../src/components/Versions";
import { type Action, type AnswerEntry, EMPTY, reduce } from "../src/conversation";
import type { Message, SessionEvent } from "../src/protocol";

let seq = 0;
const event = (body: object): Action => ({ type: "event", event: { session_id: "s_1", epoch: "e1", seq: ++seq, ...body } as SessionEvent });
const created = (message_id: string, text: string, turn_id: string, parent?: string): Action => {
  const role = message_id.includes(".") ? "assistant" : "user";
  return event({ type: "message.created", message: { message_id, role, turn_id, parent, parts: [{ type: "text", text }] } as unknown as Message });
};
const actions: Action[] = [
  { type: "opened", sessionId: "s_1", cursor: { epoch: "e1", seq: 0 } },
  created("q", "What is it?", "1"),
  created("q.1", "A cat", "1", "q"),
  created("q.2", "A grey cat", "2", "q"),
];

/** The page's store as it is with this conversation. */
function chatWith(change: Partial<Snapshot> = {}): Chat {
  const chat = new Chat("ws://test/v1/ws");
  chat.snapshot = { ...chat.snapshot, conversation: actions.reduce(reduce, EMPTY), ...change };
  return chat;
}

const view = (chat: Chat): string =>
  renderToStaticMarkup(
    <ConversationView chat={chat} snapshot={chat.snapshot} onEdit={() => {}}>
      {null}
    </ConversationView>,
  );

const composer = (chat: Chat): string =>
  renderToStaticMarkup(<Composer ref={null} chat={chat} snapshot={chat.snapshot} draft="" onDraft={() => {}} onFiles={() => {}} />);

describe("messages", () => {
  it("show one branch, and that there are others", () => {
    const html = view(chatWith());
    expect(html).toContain("A grey cat");
    expect(html).not.toContain(">A cat<");
    expect(html).toContain("<span>2 of 2</span>");
    expect(html.match(/role="group"/g)).toHaveLength(1);
    expect(html).toContain('aria-label="Versions of this answer"');
  });

  it("offer to edit, and to ask again when nothing runs", () => {
    expect(view(chatWith())).toMatch(/aria-disabled="false"><svg((?!<button)[^])*Ask again/);
    const running = event({ type: "turn.started", turn_id: "3", attempt: 1, message_id: "q" });
    const chat = chatWith();
    chat.snapshot = { ...chat.snapshot, conversation: [running, { type: "chosen", key: "1" } as Action].reduce(reduce, chat.snapshot.conversation) };
    expect(view(chat)).not.toMatch(/aria-disabled="false"><svg((?!<button)[^])*Ask again/);
    expect(view(chat)).toContain("Ask again");
    expect(view(chat)).toContain(">Edit</button>");
  });

  it("mark the one that is edited, and the composer says so", () => {
    const chat = chatWith({ editing: { key: "q", parent: "root" } });
    expect(view(chat)).toContain('data-editing="true"');
    expect(composer(chat)).toContain("Editing a message.");
    expect(composer(chat)).toContain('aria-label="Edited message"');
    expect(view(chatWith())).not.toContain('data-editing="true"');
    expect(composer(chatWith())).not.toContain("Editing a message.");
  });
});

describe("Versions", () => {
  const showVersion = vi.fn();
  const props = { chat: { showVersion } as unknown as Chat, entry: { kind: "answer", key: "2" } as AnswerEntry, version: 2, versions: 3 };
  const drawn = (more: object = {}): ReactElement<ComponentProps<"span">> | null =>
    Versions({ ...props, ...more }) as ReactElement<ComponentProps<"span">> | null;

  it("are not there for a single one", () => {
    expect(drawn({ version: 1, versions: 1 })).toBeNull();
  });

  it("keep a button at the end, so that the focus stays", () => {
    const html = renderToStaticMarkup(<Versions {...props} version={3} />);
    expect(html).toContain('aria-label="Next version" aria-disabled="true"');
    expect(html).toContain('aria-label="Previous version" aria-disabled="false"');
    expect(html).not.toContain("disabled=\"\"");
  });

  it.each([
    ["ArrowLeft", -1],
    ["ArrowRight", 1],
  ])("change with %s", (key, step) => {
    const preventDefault = vi.fn();
    drawn()!.props.onKeyDown!({ key, preventDefault } as unknown as KeyboardEvent<HTMLSpanElement>);
    expect(showVersion).toHaveBeenLastCalledWith("2", step);
    expect(preventDefault).toHaveBeenCalled();
  });

  it("leave other keys alone", () => {
    showVersion.mockClear();
    drawn()!.props.onKeyDown!({ key: "Tab" } as KeyboardEvent<HTMLSpanElement>);
    expect(showVersion).not.toHaveBeenCalled();
  });
});
