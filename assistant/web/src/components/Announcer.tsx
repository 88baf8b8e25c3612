/** Says status and finished answers to screen readers; the streaming text itself is not a live region. */
export function Announcer({ text }: { text: string }) {
  return (
    <div className="sr-only" role="status" aria-live="polite" data-testid="announcer">
      {text}
    </div>
  );
}
