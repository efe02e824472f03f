// Parts of pictures that are taken away: shapes and text that carry their colours with them and need no style sheet.
import { css, NEGATIVE, POSITIVE } from "../draw/colour";
import { inkOf as basicInk, type Ink as BasicInk, printable } from "../draw/vector";
import { s } from "./dom";

/** The colours of ui/base.css as attributes know them. */
export interface Ink extends BasicInk {
  faint: string;
  accent: string;
  positive: string;
  negative: string;
  dark: boolean;
}

export function inkOf(dark: boolean): Ink {
  const theme = dark ? "dark" : "light";
  const more = dark ? { faint: "#292c31", accent: "#86aaff" } : { faint: "#e8e9eb", accent: "#2563dc" };
  return { ...basicInk(dark), ...more, positive: css(POSITIVE[theme]), negative: css(NEGATIVE[theme]), dark };
}

/** Words whose middle line is at `y`. */
export function words(
  x: number,
  y: number,
  text: string,
  fill: string,
  more: Record<string, string | number> = {},
): SVGElement {
  return s("text", { x: round(x), y: round(y), fill, dy: "0.35em", ...more }, printable(text));
}

/** Words in as many lines as they need, by the mean width of letters: a picture cannot measure its reader's font. */
export function paragraph(text: string, width: number, fill: string, size = 12): { node: SVGElement; height: number } {
  const most = Math.max(10, Math.floor(width / (size * 0.52)));
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + word.length < most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  const high = size + 4;
  const node = s("g", { "font-size": size }, ...lines.map((line, n) => words(0, high * (n + 0.5), line, fill)));
  return { node, height: lines.length * high };
}

export function box(x: number, y: number, width: number, height: number, fill: string, opacity = 1): SVGElement {
  const place = { x: round(x), y: round(y), width: round(Math.max(0, width)), height: round(height) };
  return s("rect", { ...place, fill, ...(opacity < 1 ? { "fill-opacity": round(opacity) } : {}) });
}

/** Hundredths of a pixel are enough. */
export const round = (value: number): number => Math.round(value * 100) / 100;
