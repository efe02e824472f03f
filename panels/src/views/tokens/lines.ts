// Text of tokens broken into lines: where each token stands, so that screen, pictures and windows agree.

export interface Placed {
  at: number;
  /** From the side where reading begins. */
  left: number;
  width: number;
}

/** Breaks tokens of these widths into lines; `gaps` is the room before each, which a line's first token does without. */
export function breakLines(widths: readonly number[], gaps: readonly number[], room: number): Placed[][] {
  const lines: Placed[][] = [];
  let line: Placed[] = [];
  let end = 0;
  for (let at = 0; at < widths.length; at++) {
    const width = Math.min(widths[at]!, room);
    const left = line.length === 0 ? 0 : end + gaps[at]!;
    if (line.length > 0 && left + width > room) {
      lines.push(line);
      line = [{ at, left: 0, width }];
      end = width;
    } else {
      line.push({ at, left, width });
      end = left + width;
    }
  }
  if (line.length > 0) lines.push(line);
  return lines;
}

/** How a tokenizer says that a word begins: by a mark on its first token, by one on the others, or not at all. */
export type Marking = "begin" | "inside" | "none";

export function markingOf(tokens: readonly string[]): Marking {
  if (tokens.some((token) => /^[Ġ▁ ]/.test(token))) return "begin";
  return tokens.some((token) => token.startsWith("##")) ? "inside" : "none";
}

const BETWEEN_WORDS = 5;
const INSIDE_WORDS = 1;

/** Room before a token. */
export function gapBefore(token: string, marking: Marking): number {
  const begins = marking === "begin" ? /^[Ġ▁ Ċ\n]/.test(token) : marking === "inside" ? !token.startsWith("##") : true;
  return begins ? BETWEEN_WORDS : INSIDE_WORDS;
}

/** The token without the mark that the gap before it says already. */
export function withoutMark(token: string, marking: Marking): string {
  return marking === "begin" && /^[Ġ▁ ]./su.test(token) ? token.slice(1) : token;
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]|\ud802[\udc00-\udfff]|\ud83a[\udc00-\udfff]/;

/** Whether a text is read from the right: by its first letter that has a direction. */
export function readsFromRight(text: string): boolean {
  for (const char of text.slice(0, 2000)) {
    if (RIGHT_TO_LEFT.test(char)) return true;
    if (/\p{L}/u.test(char)) return false;
  }
  return false;
}
