import type { ToolCallPart, ToolResultPart } from "../protocol";
import { ToolIcon } from "./Icons";

/** The tools that an answer used, each with what went in and came out. */
export function ToolParts({ parts }: { parts: (ToolCallPart | ToolResultPart)[] }) {
  if (parts.length === 0) return null;
  return (
    <ul className="tools" aria-label="Tools used">
      {parts.map((part, index) => (
        <li key={index}>
          <details>
            <summary>
              <ToolIcon />
              {part.type === "tool_call" ? `Used ${part.name}` : `Result of ${part.name}`}
            </summary>
            <pre>{JSON.stringify(part.type === "tool_call" ? part.arguments : part.result, null, 2)}</pre>
          </details>
        </li>
      ))}
    </ul>
  );
}

/** What the reader should know of the results, such as what the model does badly. */
export function ToolNotes({ parts }: { parts: (ToolCallPart | ToolResultPart)[] }) {
  const notes = parts.flatMap((part) => (part.type === "tool_result" ? notesOf(part.result) : []));
  return notes.map((note, index) => (
    <p key={index} className="remark">
      {note}
    </p>
  ));
}

function notesOf(result: unknown): string[] {
  const notes = (result as { notes?: unknown } | null)?.notes;
  return Array.isArray(notes) ? notes.filter((note): note is string => typeof note === "string") : [];
}
