// Pictures that are taken away: shapes and text that carry their colours with them and need no style sheet.
import type { Ink } from "../draw/ink";
import { s } from "./dom";

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const EDGE = 14;

/** A part of a picture: shapes with their upper left corner at 0, 0. */
export interface Part {
  node: Node;
  height: number;
}

type Attributes = Record<string, string | number>;

/** Parts under each other, and a caption over them that says what is to be seen. */
export function sheet(title: string, width: number, parts: readonly Part[], ink: Ink): SVGSVGElement {
  const room = Math.max(320, width);
  const caption = paragraph(title, room, ink.ink);
  caption.node.setAttribute("font-weight", "600");
  const all = [caption, ...parts];
  const size = {
    width: Math.ceil(room + 2 * EDGE),
    height: Math.ceil(all.reduce((sum, one) => sum + one.height + 10, 2 * EDGE - 10)),
  };
  const root = s("svg", {
    xmlns: "http://www.w3.org/2000/svg",
    ...size,
    viewBox: `0 0 ${size.width} ${size.height}`,
    "font-family": FONT,
    "font-size": 13,
    role: "img",
  }) as SVGSVGElement;
  root.append(s("title", {}, printable(title)), s("rect", { ...size, fill: ink.panel }));
  let top = EDGE;
  for (const { node, height } of all) {
    root.append(s("g", { transform: `translate(${EDGE} ${round(top)})` }, node));
    top += height + 10;
  }
  return root;
}

/** Words whose middle line is at `y`. */
export function words(x: number, y: number, text: string, fill: string, more: Attributes = {}): SVGElement {
  return s("text", { x: round(x), y: round(y), fill, dy: "0.35em", ...more }, printable(text));
}

/** Words in as many lines as they need, by the mean width of letters: a picture cannot measure its reader's font. */
export function paragraph(text: string, width: number, fill: string, size = 12): Part & { node: SVGElement } {
  const lines = wrapped(text, Math.max(10, Math.floor(width / (size * 0.54))));
  const high = size + 4;
  const node = s("g", { "font-size": size }, ...lines.map((line, n) => words(0, high * (n + 0.5), line, fill)));
  return { node, height: lines.length * high };
}

/** Lines of at most so many letters, broken between words. */
export function wrapped(text: string, most: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last === undefined || last.length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

export function box(x: number, y: number, width: number, height: number, fill: string, opacity = 1): SVGElement {
  const place = { x: round(x), y: round(y), width: round(Math.max(0, width)), height: round(height) };
  return s("rect", { ...place, fill, ...(opacity < 1 ? { "fill-opacity": round(opacity) } : {}) });
}

/** What a canvas shows now, as it is. */
export function pixels(canvas: HTMLCanvasElement, place: Attributes): SVGElement {
  return s("image", { ...place, href: canvas.toDataURL("image/png") });
}

export const round = (value: number): number => Math.round(value * 1000) / 1000;

/** Characters that no XML file may hold are left out of it; on screen they have a mark already. */
export function printable(text: string): string {
  return [...text]
    .filter((character) => {
      const code = character.codePointAt(0)!;
      return code === 9 || (code >= 32 && !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfffe && code !== 0xffff);
    })
    .join("");
}
