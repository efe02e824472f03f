// A picture that is taken away: a caption over shapes, with a ground of its own, and no style sheet.
import { s } from "../ui/dom";
import { FONT, type Ink } from "./ink";

const CAPTION = 26;

/** An SVG of some shapes under a caption; shapes say their colours themselves. */
export function sheet(title: string, width: number, height: number, ink: Ink, parts: Node[]): SVGSVGElement {
  const tall = height + CAPTION;
  return s(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height: tall,
      viewBox: `0 0 ${width} ${tall}`,
      "font-family": FONT,
      "font-size": 10.5,
    },
    s("title", {}, title),
    s("rect", { width, height: tall, fill: ink.panel }),
    s("text", { x: 10, y: 17, fill: ink.ink, "font-size": 12, "font-weight": 600 }, title),
    s("g", { transform: `translate(0 ${CAPTION})` }, ...parts),
  ) as SVGSVGElement;
}
