/** The user's conversations as a whole: list, rename, delete, take along. Knows nothing of what is in them. */

import { CommandError, type Connection } from "./connection";
import type { SessionInfo } from "./protocol";

const EXPORT_ATTEMPTS = 3;

export interface SessionPage {
  sessions: SessionInfo[];
  /** What gives the next page; null after the last. */
  before: string | null;
}

export async function listSessions(connection: Connection, before: string | null): Promise<SessionPage> {
  const ack = await connection.reliable(() => ({ type: "session.list", ...(before !== null && { before }) }));
  return { sessions: ack.sessions ?? [], before: ack.before ?? null };
}

export async function renameSession(connection: Connection, sessionId: string, title: string): Promise<string> {
  const ack = await connection.reliable(() => ({ type: "session.rename", session_id: sessionId, title }));
  return ack.title ?? title;
}

/** Delete for every device. One that is gone already is deleted. */
export async function deleteSession(connection: Connection, sessionId: string): Promise<void> {
  try {
    await connection.reliable(() => ({ type: "session.delete", session_id: sessionId }));
  } catch (error) {
    if (!(error instanceof CommandError && error.code === "session_not_found")) throw error;
  }
}

/** The conversation as a document, from its parts; begun again when it changes meanwhile. */
export async function exportSession(connection: Connection, sessionId: string, format: "json" | "markdown"): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await exportOnce(connection, sessionId, format);
    } catch (error) {
      const changed = error instanceof CommandError && error.code === "export_changed";
      if (!changed || attempt === EXPORT_ATTEMPTS) throw error;
    }
  }
}

async function exportOnce(connection: Connection, sessionId: string, format: "json" | "markdown"): Promise<string> {
  let text = "";
  for (let part: string | null = null; ; ) {
    const from: string | null = part;
    const ack = await connection.reliable(() => ({ type: "session.export", session_id: sessionId, format, ...(from !== null && { part: from }) }));
    text += ack.text ?? "";
    part = ack.next ?? null;
    if (part === null) return text;
  }
}
