// Shapes that are on screen already, under a caption, as a picture that is taken away.
import { Vector } from "./vector";

const EDGE = 12;
const LINE = 16;
/** Width of a letter of the caption, about. */
const LETTER = 6.6;

export function sheet(title: string, width: number, height: number, dark: boolean, parts: Node[]): SVGSVGElement {
  const lines = wrapped(title, Math.floor(width / LETTER));
  const top = EDGE + lines.length * LINE;
  const vector = new Vector(width + 2 * EDGE, top + height + EDGE, title, dark);
  lines.forEach((line, n) => {
    vector.text(EDGE, EDGE + n * LINE + 9, line, { "font-size": 12, "font-weight": 600 });
  });
  vector.group({ transform: `translate(${EDGE} ${top})`, "font-size": 10.5 }).append(...parts);
  return vector.root;
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
