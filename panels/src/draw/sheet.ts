// Shapes that are on screen already, under a caption, as a picture that is taken away.
import { Vector } from "./vector";

const CAPTION = 26;

export function sheet(title: string, width: number, height: number, dark: boolean, parts: Node[]): SVGSVGElement {
  const vector = new Vector(width, height + CAPTION, title, dark);
  vector.text(10, 17, title, { "font-size": 12, "font-weight": 600 });
  vector.group({ transform: `translate(0 ${CAPTION})`, "font-size": 10.5 }).append(...parts);
  return vector.root;
}
