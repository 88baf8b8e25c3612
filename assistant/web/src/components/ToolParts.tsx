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
