/**
 * The page's one store: conversation, connection, attachments and notices, with what the user can do to them.
 *
 * Plain TypeScript without React; components read `snapshot` through `subscribe` and call the methods.
 */

import { type Attachment, Attachments } from "./attachments";
import { branch, nextParent, otherVersion, parentOf } from "./branches";
import { Connection, type ConnectionOptions, type Status } from "./connection";
import { type AnswerEntry, type Conversation, EMPTY, isRunning, reduce, type Action, runningTurn, type Submission, unanswered, type UserEntry } from "./conversation";
import { uuid } from "./identifiers";
import { logIn, logOut } from "./login";
import { readJson, remember } from "./memory";
import { words } from "./problems";
import { ANONYMOUS, type Command, type SessionEvent } from "./protocol";
import { memoryCommands, memoryWords } from "./taught";
import { withTime } from "./waiting";

/** A message of the user that is being written anew. */
export interface Editing {
  key: string;
  /** What the new version follows; see `Submission`. */
  parent: string | undefined;
}

export interface Snapshot {
  conversation: Conversation;
  status: Status;
  /** Of the next message, and of the one that is edited. */
  attachments: Attachment[];
  editing: Editing | null;
  /** Submit as soon as a conversation is open and the pictures are up. */
  sendWhenReady: boolean;
  stopping: boolean;
  notice: string | null;
  /** What a screen reader should say next. */
  announcement: string;
}

interface Unsent extends Submission {
  sessionId: string;
}

type Timer = ReturnType<typeof setTimeout>;

const FRAME_MS = 16;
const LIVE_MS = 1000;

export class Chat {
  snapshot: Snapshot = {
    conversation: EMPTY,
    status: { state: "connecting" },
    attachments: [],
    editing: null,
    sendWhenReady: false,
    stopping: false,
    notice: null,
    announcement: "",
  };
  readonly connection: Connection;

  private readonly listeners = new Set<() => void>();
  private readonly attachments: Attachments;
  private readonly ownTurns = new Set<string>();
  private readonly firstSeen = new Map<string, number>();
  private unsent: Unsent[] = readJson("unsent", []);
  private cancelWhenKnown = false;
  private draft = "";
  private flush: Timer | undefined;
  private wasLost = false;

  constructor(url: string, overrides: Partial<ConnectionOptions> = {}) {
    this.connection = new Connection({
      url,
      sessionId: readJson<string | null>("session", null),
      cursor: (sessionId) => (this.snapshot.conversation.sessionId === sessionId ? this.snapshot.conversation.cursor : null),
      onStatus: (status) => this.statusChanged(status),
      onOpened: (sessionId, cursor, replaced) => {
        remember("session", sessionId);
        this.dispatch({ type: "opened", sessionId, cursor });
        if (replaced) this.replaced();
        else this.sendIfReady();
      },
      onEvent: (event) => this.received(event),
      onDeleted: () => this.deleted(),
      onProblem: ({ code, message, retry_after }) => {
        // A refused picture is told beside it, by the answer to image.end.
        if (!code.startsWith("image_") && !code.startsWith("upload_")) this.notify(withTime(message, retry_after));
      },
      ...overrides,
    });
    this.attachments = new Attachments(
      this.connection,
      (attachments) => this.update({ attachments }),
      (problem) => {
        if (problem !== null) this.update({ sendWhenReady: false, announcement: problem });
        this.sendIfReady();
      },
    );
  }

  /** Connect, and send what an earlier load of the page could not. */
  start(): void {
    const open = readJson<string | null>("session", null);
    for (const item of this.unsent) this.deliver(item, item.sessionId === open);
    this.connection.start();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getSnapshot = (): Snapshot => this.snapshot;

  // -- turns

  /** True while an answer is made or waited for. */
  get busy(): boolean {
    return runningTurn(this.snapshot.conversation) !== null || unanswered(this.snapshot.conversation) !== null;
  }

  /**
   * Send the text with the attached pictures, in the place of an edited message. True when it left the composer; until a
   * conversation is open and the pictures are up it waits there.
   */
  send(text: string): boolean {
    const { conversation, editing } = this.snapshot;
    const attachments = atHand(this.snapshot);
    this.draft = text;
    if (this.busy) return false;
    if ((text.trim() === "" && attachments.length === 0) || attachments.some((a) => a.state === "error")) return false;
    if (conversation.sessionId === null || attachments.some((a) => a.state === "uploading")) {
      this.update({ sendWhenReady: true });
      return false;
    }
    const images = attachments.map((a) => ({ type: "image" as const, image_id: a.imageId! }));
    if (this.teach(text.trim(), images)) {
      this.cancelEdit();
      return true;
    }
    const parent = editing ? editing.parent : nextParent(conversation);
    if (editing) this.discardRefused(editing.key);
    this.submit({ text: text.trim(), images, parent }, conversation.sessionId);
    this.attachments.leave(attachments);
    this.update({ editing: null, sendWhenReady: false, notice: null });
    return true;
  }

  /** Have the answer's question answered once more; both answers stay. */
  askAgain({ parent }: AnswerEntry): void {
    const { sessionId } = this.snapshot.conversation;
    if (parent !== null && sessionId !== null && !this.busy) this.submit({ text: "", images: [], regenerates: parent }, sessionId);
  }

  /** Send a refused message again. */
  again(entry: UserEntry): void {
    const { conversation } = this.snapshot;
    if (this.busy || conversation.sessionId === null) return;
    const parent = parentOf(conversation, entry.key);
    this.discardRefused(entry.key);
    this.submit({ text: entry.text, images: entry.images, parent }, conversation.sessionId);
  }

  /** Forget a refused message. */
  discardRefused(key: string): void {
    const entry = this.snapshot.conversation.entries.find((e) => e.key === key);
    if (entry?.kind === "user" && entry.state === "refused") this.dispatch({ type: "discarded", clientMessageId: key });
  }

  // -- versions of messages

  /** Show the branch with the version of a message that is `step` further. */
  showVersion(key: string, step: number): void {
    const other = otherVersion(this.snapshot.conversation, key, step);
    if (!other) return;
    this.dispatch({ type: "chosen", key: other.entry.key });
    this.update({ announcement: `Version ${other.version} of ${other.versions}` });
  }

  /** Write a message anew: its pictures are attached again; the draft of the next message waits. */
  edit(entry: UserEntry): void {
    this.cancelEdit();
    const pictures = entry.images.map(({ image_id: imageId }, index) => {
      const { url, name } = this.picture(imageId);
      return { imageId, url, name: name ?? `Picture ${index + 1}` };
    });
    this.dispatch({ type: "chosen", key: entry.key }); // So that it stays in sight.
    const editing = { key: entry.key, parent: parentOf(this.snapshot.conversation, entry.key) };
    this.update({ editing, sendWhenReady: false });
    this.attachments.addAgain(pictures, entry.key);
  }

  /** Leave the edited message as it is. */
  cancelEdit(): void {
    if (!this.snapshot.editing) return;
    this.update({ sendWhenReady: false }); // Before a picture less makes it ready.
    for (const { key } of atHand(this.snapshot)) this.detach(key);
    this.update({ editing: null });
  }

  /** Stop the running turn; what was seen is kept. */
  stop(): void {
    const answer = runningTurn(this.snapshot.conversation);
    this.update({ stopping: true });
    const turnId = (answer ?? unanswered(this.snapshot.conversation))?.turnId;
    if (turnId) this.cancel(turnId, answer);
    else this.cancelWhenKnown = true;
  }

  newConversation(): void {
    this.switchTo(null, "New conversation");
  }

  /** Leave this conversation for another. */
  openConversation(sessionId: string): void {
    if (sessionId !== this.snapshot.conversation.sessionId) this.switchTo(sessionId, "Another conversation");
  }

  private switchTo(sessionId: string | null, announcement: string): void {
    this.update({ sendWhenReady: false }); // Before a picture less makes it ready.
    for (const { key } of this.snapshot.attachments) this.detach(key);
    remember("session", sessionId);
    this.cancelWhenKnown = false;
    this.update({ conversation: EMPTY, editing: null, notice: null, stopping: false, announcement });
    this.connection.switchSession(sessionId);
  }

  /** What waits to be sent was not meant for the new one. */
  private replaced(): void {
    this.update({ sendWhenReady: false });
    this.notify("That conversation is no longer on the server. This is a new one.");
  }

  private deleted(): void {
    this.newConversation();
    this.notify("That conversation was deleted. This is a new one.");
  }

  // -- who is here

  /** Whether there is anything to log out of. */
  get isLoggedIn(): boolean {
    return this.snapshot.status.state === "ready" && ![null, ANONYMOUS].includes(this.connection.owner);
  }

  /** Log in and connect. Null when the key was taken, otherwise why not. */
  async logIn(key: string): Promise<string | null> {
    const why = await logIn(key);
    if (why === null) this.connection.wake();
    return why;
  }

  /** Connect as nobody; a key that the browser still has is forgotten. */
  async goWithoutKey(): Promise<void> {
    if (await logOut()) this.connection.wake();
  }

  /** Forget the key and all that this browser keeps of its owner; true when it is done, and the page is to be loaded anew. */
  async logOut(): Promise<boolean> {
    if (!(await logOut())) {
      this.notify("The server does not answer: you are still logged in. Try again.");
      return false;
    }
    this.connection.stop();
    for (const name of ["session", "draft", "unsent"] as const) remember(name, null);
    return true;
  }

  dismissNotice(): void {
    this.update({ notice: null });
  }

  // -- pictures

  attach(files: Iterable<File>): void {
    this.attachments.add(files, this.snapshot.editing?.key ?? null);
  }

  detach(key: string): void {
    this.attachments.remove(key);
    this.sendIfReady();
  }

  /** The composer's text changed: a send that waits no longer holds. */
  edited(): void {
    if (this.snapshot.sendWhenReady) this.update({ sendWhenReady: false });
  }

  /** Called when a send that waited went out. */
  onSent: () => void = () => {};

  /** Where a picture of the conversation is, and its name when it was picked on this page. */
  picture(imageId: string): { url: string; name: string | null } {
    const local = this.attachments.picked(imageId);
    const session = encodeURIComponent(this.snapshot.conversation.sessionId ?? "");
    return local ?? { url: `/v1/images/${encodeURIComponent(imageId)}?session=${session}`, name: null };
  }

  // -- inside

  private submit(submission: Omit<Submission, "clientMessageId">, sessionId: string): void {
    const item: Unsent = { clientMessageId: uuid(), ...submission, sessionId };
    this.unsent = [...this.unsent, item];
    remember("unsent", this.unsent);
    this.deliver(item, true);
  }

  private deliver({ sessionId, ...submission }: Unsent, shown: boolean): void {
    const { clientMessageId } = submission;
    if (shown) this.dispatch({ type: "submitted", submission });
    void this.connection
      .reliable(() => commandOf(submission, sessionId))
      .then((ack) => {
        const turnId = ack.turn_id ?? "";
        this.ownTurns.add(turnId);
        this.dispatch({ type: "acknowledged", clientMessageId, messageId: ack.message_id ?? "", turnId });
        if (this.cancelWhenKnown) this.cancel(turnId, null);
      })
      .catch((error: Error) => {
        if (submission.regenerates === undefined) {
          this.dispatch({ type: "refused", clientMessageId, message: words(error) });
          this.update({ announcement: `Not sent. ${words(error)}` });
        } else {
          this.dispatch({ type: "discarded", clientMessageId });
          this.notify(`Not asked again. ${words(error)}`);
        }
        this.update({ stopping: false });
      })
      .finally(() => {
        this.cancelWhenKnown = false;
        this.unsent = this.unsent.filter((u) => u.clientMessageId !== clientMessageId);
        remember("unsent", this.unsent.length > 0 ? this.unsent : null);
      });
  }

  /** Carry out a command of the memory, with the pictures at hand or those asked about last. False where it is none. */
  private teach(text: string, attached: Submission["images"]): boolean {
    const shown = branch(this.snapshot.conversation).map((s) => s.entry);
    const asked = shown.findLast((e) => e.kind === "user" && e.images.length > 0);
    const images = attached.length > 0 || asked?.kind !== "user" ? attached : asked.images;
    const ids = images.map((i) => i.image_id);
    const commands = memoryCommands(text, ids);
    if (commands === null) return false;
    this.update({ sendWhenReady: false });
    if (commands.length === 0) this.notify("Attach the picture that shall be remembered.");
    void Promise.all(commands.map((command) => this.connection.reliable(() => command)))
      .then((acks) => {
        if (acks[0]) this.notify(memoryWords(acks[0]));
        if (acks[0]?.memory) this.attachments.leave(this.snapshot.attachments.filter((a) => ids.includes(a.imageId ?? "")));
      })
      .catch((error: Error) => this.notify(words(error)));
    return true;
  }

  private cancel(turnId: string, answer: AnswerEntry | null): void {
    const seen = answer ? [...answer.text].length : 0; // In code points, as the server counts.
    this.connection
      .reliable(() => ({ type: "turn.cancel", turn_id: turnId, seen_chars: seen }))
      .catch(() => this.update({ stopping: false })); // It had ended already.
  }

  private sendIfReady(): void {
    if (this.snapshot.sendWhenReady && this.send(this.draft)) this.onSent();
  }

  private received(event: SessionEvent): void {
    this.dispatch({ type: "event", event });
    if ("turn_id" in event && event.turn_id && !this.firstSeen.has(event.turn_id)) this.firstSeen.set(event.turn_id, Date.now());
    if (event.type === "turn.finished") this.finished(event.turn_id);
  }

  private finished(turnId: string): void {
    this.update({ stopping: false });
    const answer = this.snapshot.conversation.entries.find((e) => e.kind === "answer" && e.turnId === turnId);
    const live = this.ownTurns.has(turnId) || Date.now() - (this.firstSeen.get(turnId) ?? 0) > LIVE_MS;
    if (!live || answer?.kind !== "answer" || isRunning(answer.status)) return; // A replay is not read out.
    this.update({ announcement: spoken(answer) });
  }

  private statusChanged(status: Status): void {
    if (status.state === "offline") {
      this.wasLost = true;
      this.update({ status, announcement: `Connection lost. ${status.reason ?? ""} ${status.stopped ? "" : "Trying again."}` });
    } else if (status.state === "ready" && this.wasLost) {
      this.wasLost = false;
      this.update({ status, announcement: "Connected again." });
    } else this.update({ status });
  }

  private notify(notice: string): void {
    this.update({ notice, announcement: notice });
  }

  private dispatch(action: Action): void {
    this.update({ conversation: reduce(this.snapshot.conversation, action) });
  }

  /** Change the snapshot; listeners hear of it at most once a frame. */
  private update(change: Partial<Snapshot>): void {
    this.snapshot = { ...this.snapshot, ...change };
    this.flush ??= setTimeout(() => {
      this.flush = undefined;
      for (const listener of this.listeners) listener();
    }, FRAME_MS);
  }
}

/** The pictures that go with what is written now. */
export function atHand({ attachments, editing }: Snapshot): Attachment[] {
  return attachments.filter((a) => a.edits === (editing?.key ?? null));
}

function commandOf({ clientMessageId, text, images, parent, regenerates }: Submission, sessionId: string): Command {
  const which = { session_id: sessionId, client_message_id: clientMessageId };
  if (regenerates !== undefined) return { type: "turn.regenerate", ...which, message_id: regenerates };
  return { type: "turn.submit", ...which, text, images: images.map((i) => i.image_id), ...(parent !== undefined && { parent }) };
}

function spoken({ status, text, error }: AnswerEntry): string {
  if (status === "failed") return `The answer failed. ${error?.message ?? ""}`;
  return `${status === "cancelled" ? "Stopped. " : ""}Answer: ${text.replace(/[*_`#]+/g, "")}`;
}
