/**
 * Light Markdown as React elements: no HTML is ever set, pictures become links, and only web and mail links are kept.
 *
 * Words can be underlined by the weight of the picture in them; each leaf is found again in the source to know its place.
 */

import { marked, type Token, type Tokens } from "marked";
import { type CSSProperties, Fragment, memo, type ReactNode } from "react";

import { segments, type WeightedRange } from "../weights";

interface Props {
  text: string;
  weights: WeightedRange[];
  /** The weight that is drawn at full strength. */
  strongest: number;
}

export const Markdown = memo(function Markdown({ text, weights, strongest }: Props) {
  const leaf = leafDrawer(text, weights, strongest);
  return <div className="markdown">{drawAll(marked.lexer(text), leaf)}</div>;
});

type DrawLeaf = (text: string) => ReactNode;

const SAFE_LINK = /^(https?:|mailto:)/i;
const FAINTEST = 0.03;

/** Draws leaves in source order, with weights when there are any. */
function leafDrawer(source: string, weights: WeightedRange[], strongest: number): DrawLeaf {
  let from = 0;
  return (text) => {
    const start = source.indexOf(text, from);
    if (start < 0) return text;
    from = start + text.length;
    if (weights.length === 0) return text;
    return segments(text, start, weights).map(({ text: word, weight }, index) =>
      weight === null || weight < FAINTEST ? (
        <Fragment key={index}>{word}</Fragment>
      ) : (
        <span key={index} className="weighed" style={{ "--weight": Math.min(1, weight / strongest) } as CSSProperties} title={percent(weight)}>
          {word}
        </span>
      ),
    );
  };
}

function percent(weight: number): string {
  return `picture ${Math.round(100 * weight)} %`;
}

function drawAll(tokens: Token[] | undefined, leaf: DrawLeaf): ReactNode[] {
  return (tokens ?? []).map((token, index) => <Fragment key={index}>{draw(token, leaf)}</Fragment>);
}

function draw(token: Token, leaf: DrawLeaf): ReactNode {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "paragraph":
      return <p>{drawAll(token.tokens, leaf)}</p>;
    case "heading":
      return (
        <p className="heading" role="heading" aria-level={Math.min(6, (token as Tokens.Heading).depth + 1)}>
          {drawAll(token.tokens, leaf)}
        </p>
      );
    case "list":
      return drawList(token as Tokens.List, leaf);
    case "blockquote":
      return <blockquote>{drawAll(token.tokens, leaf)}</blockquote>;
    case "code":
      return (
        <pre tabIndex={0}>
          <code>{leaf((token as Tokens.Code).text)}</code>
        </pre>
      );
    case "table":
      return drawTable(token as Tokens.Table, leaf);
    case "hr":
      return <hr />;
    case "strong":
      return <strong>{drawAll(token.tokens, leaf)}</strong>;
    case "em":
      return <em>{drawAll(token.tokens, leaf)}</em>;
    case "del":
      return <del>{drawAll(token.tokens, leaf)}</del>;
    case "codespan":
      return <code>{leaf((token as Tokens.Codespan).text)}</code>;
    case "br":
      return <br />;
    case "link":
      return drawLink((token as Tokens.Link).href, drawAll(token.tokens, leaf));
    case "image":
      return drawLink((token as Tokens.Image).href, leaf((token as Tokens.Image).text));
    case "text":
      return token.tokens ? drawAll(token.tokens, leaf) : leaf((token as Tokens.Text).text);
    case "escape":
      return leaf((token as Tokens.Escape).text);
    default:
      return leaf(token.raw); // HTML too: shown as it was written.
  }
}

function drawLink(href: string, children: ReactNode): ReactNode {
  if (!SAFE_LINK.test(href)) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

function drawList(list: Tokens.List, leaf: DrawLeaf): ReactNode {
  const items = list.items.map((item, index) => <li key={index}>{drawAll(item.tokens, leaf)}</li>);
  return list.ordered ? <ol start={list.start === "" ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>;
}

function drawTable(table: Tokens.Table, leaf: DrawLeaf): ReactNode {
  return (
    <div className="table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {table.header.map((cell, index) => (
              <th key={index}>{drawAll(cell.tokens, leaf)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column}>{drawAll(cell.tokens, leaf)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
