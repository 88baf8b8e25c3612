import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";

import { Markdown } from "../src/components/Markdown";
import { place, segments, strongest } from "../src/weights";

const html = (text: string, weights = place([], "", 0)): string =>
  renderToStaticMarkup(<Markdown text={text} weights={weights} strongest={strongest(weights)} />);

describe("Markdown", () => {
  it("draws the common forms", () => {
    expect(html("A **cat** and `code`.\n\n- one\n- two")).toBe(
      '<div class="markdown"><p>A <strong>cat</strong> and <code>code</code>.</p><ul><li>one</li><li>two</li></ul></div>',
    );
    expect(html("| a | b |\n|---|---|\n| 1 | 2 |")).toContain("<td>1</td>");
    expect(html("3. c")).toContain('<ol start="3">');
  });

  it("never makes markup of HTML, and loads no picture", () => {
    const text = '<img src=x onerror=alert(1)> <script>alert(1)</script>\n\n![x](https://example.org/a.png "t")';
    expect(html(text)).not.toMatch(/<(img|script)/);
    expect(html(text)).toContain('<a href="https://example.org/a.png"');
  });

  it("keeps web and mail links only", () => {
    expect(html("[a](https://example.org)")).toContain('rel="noopener noreferrer"');
    for (const href of ["javascript:alert(1)", "data:text/html,x", "/v1/ws", " JavaScript:x"]) expect(html(`[a](<${href}>)`)).not.toContain("<a");
  });

  it("underlines words by weight, through markup and entities", () => {
    const text = "A **grey** cat & dog";
    const drawn = html(text, place([{ text: "grey", image_weight: 0.5 }, { text: " dog", image_weight: 0.25 }], text, 0));
    expect(drawn).toContain('<strong><span class="weighed" style="--weight:1" title="picture 50 %">grey</span></strong>');
    expect(drawn).toContain('<span class="weighed" style="--weight:0.5" title="picture 25 %">dog</span>');
    expect(drawn.match(/weighed/g)).toHaveLength(2);
  });
});

describe("weights", () => {
  it("means the pieces of a word", () => {
    const text = " giraffe";
    const ranges = place([{ text: " gira", image_weight: 0.2 }, { text: "ffe", image_weight: 0.9 }], text, 10);
    expect(segments(text, 10, ranges)).toEqual([
      { text: " ", weight: null },
      { text: "giraffe", weight: expect.closeTo((4 * 0.2 + 3 * 0.9) / 7) as number },
    ]);
  });

  it("leaves out tokens that are not in the text", () => {
    expect(place([{ text: "\ufffd", image_weight: 1 }, { text: "é", image_weight: 0.5 }], "éx", 0)).toEqual([
      { start: 0, end: 1, weight: 0.5 },
    ]);
  });

  it("does not stretch a faint picture", () => {
    expect(strongest([{ start: 0, end: 1, weight: 0.01 }])).toBe(0.1);
  });
});
