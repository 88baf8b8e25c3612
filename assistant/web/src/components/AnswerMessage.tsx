import { memo, useState } from "react";

import type { Chat } from "../chat";
import { type Activity, type AnswerEntry, isRunning } from "../conversation";
import { strongest, type WeightedRange } from "../weights";
import { AgainIcon, CheckIcon, CopyIcon, WarnIcon } from "./Icons";
import { Markdown } from "./Markdown";
import { PicturesSeen } from "./PicturesSeen";
import { ToolNotes, ToolParts } from "./ToolParts";
import { Versions } from "./Versions";
import { WeightToggle } from "./WeightToggle";

const NO_WEIGHTS: WeightedRange[] = [];

interface Props {
  chat: Chat;
  entry: AnswerEntry;
  version: number;
  versions: number;
  /** Another answer can be asked for now. */
  canAsk: boolean;
  showWeights: boolean;
  onToggleWeights: () => void;
}

/** One answer: its text as it streams, then what it was made from. */
export const AnswerMessage = memo(function AnswerMessage({ chat, entry, version, versions, canAsk, showWeights, onToggleWeights }: Props) {
  const { status, text, weights } = entry;
  const running = isRunning(status);
  const hasWeights = weights.some((w) => w.weight > 0);
  return (
    <article
      className="message answer"
      data-testid="message-assistant"
      data-status={hookStatus(entry)}
      data-finish={running ? undefined : status}
      aria-label="Assistant"
      aria-busy={running}
    >
      <ToolParts parts={entry.tools} />
      {text !== "" && (
        <Markdown text={text} weights={showWeights && hasWeights ? weights : NO_WEIGHTS} strongest={strongest(weights)} />
      )}
      {running && (text === "" || isNews(entry.activity)) && <Working activity={entry.activity} />}
      <ToolNotes parts={entry.tools} />
      <Ending entry={entry} />
      {entry.notes.map((note) => (
        <p className="remark" key={note}>
          {note}
        </p>
      ))}
      <footer className="answer-foot">
        <Versions chat={chat} entry={entry} version={version} versions={versions} />
        {!running && (
          <>
            <PicturesSeen chat={chat} images={entry.images} />
            {hasWeights && <WeightToggle on={showWeights} onToggle={onToggleWeights} />}
            {text !== "" && <CopyButton text={text} />}
          </>
        )}
        <AskAgain canAsk={canAsk && !running && entry.parent !== null} onAsk={() => chat.askAgain(entry)} />
      </footer>
    </article>
  );
});

/** The sign that work goes on, in words where the server gave any. */
export function Working({ activity }: { activity: Activity | null }) {
  return (
    <p className="working">
      <span className="working-dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {activityWords(activity)}
    </p>
  );
}

function Ending({ entry: { status, error, text } }: { entry: AnswerEntry }) {
  if (status === "failed")
    return (
      <div className="trouble">
        <WarnIcon />
        <p>{error?.message ?? "The answer failed."}</p>
      </div>
    );
  if (status === "cancelled") return <p className="remark">{text === "" ? "Stopped before the first word." : "Stopped."}</p>;
  if (status === "length") return <p className="remark">The answer reached its longest length and ends here.</p>;
  return null;
}

/** There in a running answer too, though out of sight: it keeps the focus of whoever pressed it. */
function AskAgain({ canAsk, onAsk }: { canAsk: boolean; onAsk: () => void }) {
  return (
    <button type="button" className="foot-button ask-again" aria-disabled={!canAsk} onClick={() => canAsk && onAsk()}>
      <AgainIcon />
      Ask again
    </button>
  );
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  if (!globalThis.navigator?.clipboard) return null; // Not a secure context.
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" className="foot-button" onClick={() => void copy()}>
      {copied ? <CheckIcon /> : <CopyIcon />}
      {copied ? "Copied" : "Copy"}
    </button>
  );
}

function hookStatus({ status }: AnswerEntry): "streaming" | "completed" | "cancelled" | "failed" {
  if (isRunning(status)) return "streaming";
  return status === "cancelled" || status === "failed" ? status : "completed";
}

const STAGES: Record<string, string> = {
  reading: "Reading the picture",
  encoding: "Looking at the picture",
  remembering: "Looking at what was taught",
  summarising: "Summing up what was said before",
  prefill: "Reading",
  decode: "Writing",
  working: "Still thinking",
};

/** Beside text that grows, a bare sign of life says nothing. */
function isNews(activity: Activity | null): boolean {
  return activity !== null && activity.stage !== "working";
}

function activityWords(activity: Activity | null): string {
  if (activity === null) return "Thinking";
  if ("position" in activity) return activity.position > 1 ? `Waiting, ${activity.position - 1} ahead` : "Waiting";
  if ("name" in activity) return `Using ${activity.name}`;
  if (activity.stage === "waiting") return activity.total ? `Waiting, ${activity.total} ahead` : "Waiting";
  const stage = STAGES[activity.stage] ?? activity.stage;
  return activity.done !== null && activity.total !== null && activity.total > 1
    ? `${stage}, ${activity.done} of ${activity.total}`
    : stage;
}
