// How a token is shown: invisible characters get a mark, direction overrides lose their power, nothing is ever markup.
import { fromByteLevel as textOfBytes } from "../session/bytes";
import { h } from "./dom";

/** Longest token shown; the title tells more. */
const LONGEST = 120;
const LONGEST_TITLE = 400;

/** One run of a token's text; marks are drawn faint. */
export interface Piece {
  text: string;
  mark: boolean;
}

/** Whether tokens are written in the byte-level alphabet: Ġ and Ċ stand for space and line feed there. */
export function isByteLevel(tokens: readonly string[]): boolean {
  return tokens.some((token) => token.startsWith("Ġ") || token.includes("Ċ"));
}

/** A byte-level token as the text it stands for; unchanged where its bytes are no whole characters. */
export const fromByteLevel = (token: string): string => textOfBytes(token) ?? token;

const hex = (code: number): string => `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;

/** The visible mark of an invisible character; null for one that shows itself. */
function markOf(char: string, first: boolean): string | null {
  const code = char.codePointAt(0)!;
  if (char === " " || char === "▁" || (char === "Ġ" && first)) return "·";
  if (char === "\n" || char === "Ċ") return "↵";
  if (char === "\t") return "⇥";
  if (char === "\u00a0") return "⍽";
  if (code < 32) return String.fromCodePoint(0x2400 + code);
  if (code === 127) return "␡";
  const hidden =
    (code >= 0x80 && code < 0xa0) ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    code === 0xad ||
    code === 0xfeff ||
    code === 0xfffe ||
    code === 0xffff ||
    code === 0x61c ||
    (code >= 0xd800 && code <= 0xdfff);
  return hidden ? `‹${hex(code)}›` : null;
}

export function pieces(token: string, byteLevel: boolean): Piece[] {
  if (token === "") return [{ text: "∅", mark: true }];
  const text = byteLevel ? fromByteLevel(token) : token;
  const list: Piece[] = [];
  let count = 0;
  for (const char of text) {
    if (count >= LONGEST) {
      list.push({ text: "…", mark: true });
      break;
    }
    // A zero-width joiner inside an emoji holds it together; alone it would be invisible.
    const joins =
      char === "\u200d" &&
      /(\p{Extended_Pictographic}|\ufe0f|[\u{1f3fb}-\u{1f3ff}])$/u.test(list[list.length - 1]?.text ?? "");
    const mark = joins ? null : markOf(char, count === 0);
    const last = list[list.length - 1];
    if (last && last.mark === (mark !== null)) last.text += mark ?? char;
    else list.push({ text: mark ?? char, mark: mark !== null });
    count++;
  }
  return list;
}

/** A token as one line of plain text, for labels and read-outs. */
export function plain(token: string, byteLevel: boolean, longest = 40): string {
  const text = pieces(token, byteLevel)
    .map((piece) => piece.text)
    .join("");
  const chars = [...text];
  return chars.length > longest ? `${chars.slice(0, longest).join("")}…` : text;
}

/** The element of a token's text: isolated, so that no direction leaks out. A label is what it says in full, and is its name. */
export function tokenText(token: string, byteLevel: boolean, label?: string): HTMLElement {
  const named = label === undefined ? {} : { role: "img", "aria-label": labelText(label) };
  const element = h("bdi", { class: "tok-text", ...named });
  for (const piece of pieces(token, byteLevel)) {
    element.append(piece.mark ? h("span", { class: "tok-mark" }, piece.text) : piece.text);
  }
  return element;
}

/** A label as plain words: what is invisible in it is marked, but for its spaces. */
export function labelText(label: string): string {
  return plain(label.replaceAll(" ", "\u2003"), false, LONGEST_TITLE).replaceAll("\u2003", " ");
}

export function tokenTitle(token: string, position: number, id: number | undefined, label?: string): string {
  const visible = plain(token, false, LONGEST_TITLE);
  const said = label === undefined ? "" : `${labelText(label)}\n`;
  return `${said}${visible}\nposition ${position}${id === undefined ? "" : `, id ${id}`}`;
}

/** Tokens as the text they came from, as far as their marks tell. */
export function spoken(tokens: readonly string[]): string {
  if (isByteLevel(tokens)) return tokens.map(fromByteLevel).join("");
  if (tokens.some((token) => token.startsWith("▁"))) return tokens.join("").replaceAll("▁", " ");
  return tokens.join(" ").replaceAll(" ##", "");
}
