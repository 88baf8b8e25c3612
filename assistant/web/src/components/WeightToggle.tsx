/** Switches the underlines on and off, and is their legend. */
export function WeightToggle({ on, onToggle }: { on: boolean; onToggle: () => void }) {
  return (
    <button type="button" className="foot-button weight-toggle" aria-pressed={on} onClick={onToggle}>
      <span className="weight-scale" aria-hidden="true" />
      How much the picture weighed
    </button>
  );
}
