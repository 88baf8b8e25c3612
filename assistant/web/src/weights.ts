/** How much the picture weighed in each word of an answer: from the server's tokens to ranges of the text, to words. */

import type { TokenWeight } from "./protocol";

/** A range of an answer's text, in UTF-16 units, and the weight of the picture in it. */
export interface WeightedRange {
  start: number;
  end: number;
  weight: number;
}

/** A run of text that is drawn alike. */
export interface Segment {
  text: string;
  /** Null where no token says anything: spaces, and text without weights. */
  weight: number | null;
}

/** Where the tokens lie in the text; `base` is where the text begins in the answer. Tokens that are not in it are left out. */
export function place(tokens: TokenWeight[], text: string, base: number): WeightedRange[] {
  const ranges: WeightedRange[] = [];
  let from = 0;
  for (const { text: token, image_weight: weight } of tokens) {
    const start = token === "" ? -1 : text.indexOf(token, from);
    if (start < 0) continue;
    from = start + token.length;
    ranges.push({ start: base + start, end: base + from, weight });
  }
  return ranges;
}

/** The strongest weight, at least `floor`, so that a faint picture is drawn faint and not stretched to full strength. */
export function strongest(ranges: WeightedRange[], floor = 0.1): number {
  return ranges.reduce((most, { weight }) => Math.max(most, weight), floor);
}

/** Split `text`, which begins at `base` in the answer, into words and what is between them. */
export function segments(text: string, base: number, ranges: WeightedRange[]): Segment[] {
  return (text.match(/\s+|\S+/g) ?? []).map((word) => {
    const start = base;
    base += word.length;
    return { text: word, weight: /\s/.test(word) ? null : mean(ranges, start, base) };
  });
}

/** The mean over the characters of a word that have a weight. */
function mean(ranges: WeightedRange[], start: number, end: number): number | null {
  let sum = 0;
  let covered = 0;
  for (const range of ranges) {
    const shared = Math.min(end, range.end) - Math.max(start, range.start);
    if (shared > 0) {
      sum += shared * range.weight;
      covered += shared;
    }
  }
  return covered > 0 ? sum / covered : null;
}
