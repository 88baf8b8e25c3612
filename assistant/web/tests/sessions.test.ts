import { describe, expect, it } from "vitest";

import { deleteSession, exportSession, listSessions, renameSession } from "../src/sessions";
import { connect } from "./fakes";

function ready() {
  const made = connect();
  made.socket().welcome();
  return made;
}
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
const info = { session_id: "s_1", title: "A cat", created_at: "", updated_at: "", messages: 2 };

describe("conversations as a whole", () => {
  it("are listed page by page", async () => {
    const { connection, socket } = ready();
    const first = listSessions(connection, null);
    expect(socket().last("session.list")).not.toHaveProperty("before");
    socket().ack("session.list", { sessions: [info], before: "17" });
    expect(await first).toEqual({ sessions: [info], before: "17" });
    const last = listSessions(connection, "17");
    expect(socket().last("session.list")).toMatchObject({ before: "17" });
    socket().ack("session.list", { sessions: [] });
    expect(await last).toEqual({ sessions: [], before: null });
  });

  it("are renamed to what the server keeps", async () => {
    const { connection, socket } = ready();
    const renamed = renameSession(connection, "s_1", " A  dog ");
    socket().ack("session.rename", { title: "A dog" });
    expect(await renamed).toBe("A dog");
  });

  it("are deleted once, however often that is asked", async () => {
    const { connection, socket } = ready();
    const gone = deleteSession(connection, "s_1");
    socket().refuse("session.delete", "session_not_found");
    await gone;
    const refused = deleteSession(connection, "s_1");
    socket().refuse("session.delete", "unavailable");
    await expect(refused).rejects.toThrow("unavailable!");
  });

  it("are exported in parts, from the start again when they change meanwhile", async () => {
    const { connection, socket } = ready();
    const whole = exportSession(connection, "s_1", "markdown");
    socket().ack("session.export", { text: "# old", next: "5-x" });
    await tick();
    expect(socket().last("session.export")).toMatchObject({ part: "5-x", format: "markdown" });
    socket().refuse("session.export", "export_changed");
    await tick();
    expect(socket().last("session.export")).not.toHaveProperty("part");
    socket().ack("session.export", { text: "# A", next: "3-y" });
    await tick();
    socket().ack("session.export", { text: " cat" });
    expect(await whole).toBe("# A cat");
  });

  it("are said to be deleted where they are open, and nowhere else", () => {
    const { socket, told } = ready();
    socket().say({ type: "session.deleted", session_id: "s_2" });
    expect(told.deletions).toBe(0);
    socket().say({ type: "session.deleted", session_id: "s_1" });
    expect(told.deletions).toBe(1);
  });
});
