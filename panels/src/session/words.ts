// From sub-word tokens to words, by the same rules as the Python reader: what stands between white space is one word.
import type { AxisTokens } from "../decode/types";
import { fromByteLevel } from "./bytes";

export interface Word {
  text: string;
  start: number;
  /** One past the last token. */
  end: number;
}

/** A token that follows a space (SentencePiece, byte-level), a line feed, a tab. */
const BEGINS = ["▁", "Ġ", "Ċ", "ĉ"];
/** WordPiece's mark of a token that goes on. */
const CONTINUES = "##";
/** The tokens of OpenAI GPT, XLM and CLIP that end a word. */
const ENDS = "</w>";
/** Those of CTRL and FSMT that do not. */
const GOES_ON = "@@";
/** First and last character of scripts that write no spaces between words. */
const UNSPACED: [number, number][] = [
  [0x0e00, 0x0eff],
  [0x1000, 0x109f],
  [0x1780, 0x17ff],
  [0x3001, 0x312f],
  [0x31f0, 0x31ff],
  [0x3400, 0x9fff],
  [0xf900, 0xfaff],
  [0xff66, 0xff9d],
  [0x20000, 0x3ffff],
];

/** Words of an axis; every token belongs to exactly one. */
export function wordsOf(axis: AxisTokens): Word[] {
  const { starts, ends, tokens } = axis;
  const joined = starts && ends ? byOffsets(axis, starts, ends) : byMarks(axis);
  const firsts = tokens.map((_, n) => n).filter((n) => n === 0 || !joined[n]);
  const characters = new Characters();
  const marked = tokens.some(begins);
  return firsts.map((start, i) => {
    const end = firsts[i + 1] ?? tokens.length;
    return { text: textOf(axis, start, end, characters, marked), start, end };
  });
}

const alone = (axis: AxisTokens, n: number): boolean => axis.special?.[n] ?? false;

const otherText = (axis: AxisTokens, n: number): boolean =>
  axis.segments !== null && axis.segments[n] !== axis.segments[n - 1];

function source(axis: AxisTokens, n: number): string | null {
  return axis.pair !== null && axis.segments?.[n] === 1 ? axis.pair : axis.text;
}

/** Texts as characters: offsets count code points, strings of this language count their halves. */
class Characters {
  private readonly known = new Map<string, string[]>();

  of(text: string): string[] {
    let found = this.known.get(text);
    if (!found) {
      found = [...text];
      this.known.set(text, found);
    }
    return found;
  }
}

function byOffsets(axis: AxisTokens, starts: Uint32Array, ends: Uint32Array): boolean[] {
  const characters = new Characters();
  return axis.tokens.map((_, n) => {
    if (n === 0 || alone(axis, n) || alone(axis, n - 1) || otherText(axis, n)) return false;
    const [before, until] = [starts[n - 1]!, ends[n - 1]!];
    const [start, end] = [starts[n]!, ends[n]!];
    if (start >= end || before >= until) return false;
    if (start < until && end > before) return true; // they share a character
    if (start !== until) return false;
    const text = source(axis, n);
    if (text === null) return true;
    const list = characters.of(text);
    return !parted(list[start - 1] ?? "", list[start] ?? "");
  });
}

function byMarks(axis: AxisTokens): boolean[] {
  const { tokens } = axis;
  const plain = tokens.filter((_, n) => !alone(axis, n));
  const withEnds = plain.some((one) => one.endsWith(ENDS));
  const withBegins = plain.some(begins);
  return tokens.map((token, n) => {
    if (n === 0 || alone(axis, n) || alone(axis, n - 1) || otherText(axis, n)) return false;
    const before = tokens[n - 1]!;
    if (withEnds) return !before.endsWith(ENDS);
    if (!withBegins) return token.startsWith(CONTINUES) || before.endsWith(GOES_ON);
    if (begins(token) || before.startsWith("Ċ") || before.startsWith("ĉ")) return false;
    return !parted([...readable(before)].at(-1) ?? "", [...readable(token)][0] ?? "");
  });
}

const begins = (token: string): boolean => BEGINS.some((mark) => token.startsWith(mark));

/** Whether a word ends between two characters that touch. */
function parted(before: string, after: string): boolean {
  return isSpace(before) || isSpace(after) || isUnspaced(before) || isUnspaced(after);
}

/** White space as Python's `str.isspace` has it: with the separators and NEL, without the byte order mark. */
function isSpace(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return (code >= 0x1c && code <= 0x1f) || code === 0x85 || (code !== 0xfeff && /^\s$/.test(character));
}

/** Without white space at both ends, as Python's `str.strip` leaves it. */
function strip(text: string): string {
  let [from, until] = [0, text.length];
  while (from < until && isSpace(text[from]!)) from++;
  while (until > from && isSpace(text[until - 1]!)) until--;
  return text.slice(from, until);
}

function isUnspaced(character: string): boolean {
  const code = character.codePointAt(0);
  return code !== undefined && UNSPACED.some(([first, last]) => first <= code && code <= last);
}

function readable(token: string): string {
  const text = fromByteLevel(token);
  return text === null ? token.replaceAll("▁", " ") : text;
}

function textOf(axis: AxisTokens, start: number, end: number, characters: Characters, marked: boolean): string {
  const first = axis.tokens[start]!;
  if (alone(axis, start)) return first;
  const text = source(axis, start);
  const from = axis.starts?.[start] ?? 0;
  const until = axis.ends?.[end - 1] ?? 0;
  if (text !== null && from < until) return strip(characters.of(text).slice(from, until).join("")) || first;
  const parts = axis.tokens.slice(start, end);
  if (marked) return strip(readable(parts.join(""))) || first;
  return parts.map(bare).join("") || first;
}

/** A token without the marks that say where words begin and end. */
function bare(token: string): string {
  let text = token.startsWith(CONTINUES) ? token.slice(CONTINUES.length) : token;
  if (text.endsWith(ENDS)) text = text.slice(0, -ENDS.length);
  return text.endsWith(GOES_ON) ? text.slice(0, -GOES_ON.length) : text;
}
