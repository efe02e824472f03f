// Pictures as shapes and text that need no style sheet: what is saved as SVG, and made into PNG.
import { css, type Rgb } from "./colour";

const SVG = "http://www.w3.org/2000/svg";
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

export interface Ink {
  paper: string;
  ink: string;
  dim: string;
  line: string;
}

/** Colours of paper and text: a picture has to be read without the page's style sheet. */
export const inkOf = (dark: boolean): Ink =>
  dark
    ? { paper: "#1b1d20", ink: "#e8e9eb", dim: "#a0a5ae", line: "#373b42" }
    : { paper: "#ffffff", ink: "#1c1d1f", dim: "#5f646c", line: "#d6d8dc" };

type Value = string | number;

export class Vector {
  readonly root: SVGSVGElement;
  readonly ink: Ink;

  constructor(
    readonly width: number,
    readonly height: number,
    title: string,
    dark: boolean,
  ) {
    this.ink = inkOf(dark);
    this.root = document.createElementNS(SVG, "svg");
    const size = { width: Math.ceil(width), height: Math.ceil(height) };
    for (const [name, value] of Object.entries({
      xmlns: SVG,
      ...size,
      viewBox: `0 0 ${size.width} ${size.height}`,
      "font-family": FONT,
      "font-size": 13,
      role: "img",
    }))
      this.root.setAttribute(name, String(value));
    const name = document.createElementNS(SVG, "title");
    name.textContent = title;
    this.root.append(name);
    this.add("rect", { width: size.width, height: size.height, fill: this.ink.paper });
  }

  add(tag: string, attributes: Record<string, Value>, into: Element = this.root): SVGElement {
    const element = document.createElementNS(SVG, tag) as SVGElement;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    into.append(element);
    return element;
  }

  text(x: number, y: number, text: string, attributes: Record<string, Value> = {}): SVGElement {
    const element = this.add("text", { x, y, fill: this.ink.ink, ...attributes });
    element.textContent = printable(text);
    return element;
  }

  rect(x: number, y: number, width: number, height: number, colour: Rgb, opacity = 1, into?: Element): void {
    const shape = { x: round(x), y: round(y), width: round(width), height: round(height) };
    this.add("rect", { ...shape, fill: css(colour), "fill-opacity": round(opacity) }, into);
  }

  group(attributes: Record<string, Value> = {}): SVGElement {
    return this.add("g", attributes);
  }

  /** What a canvas shows now, as it is. */
  picture(canvas: HTMLCanvasElement, x: number, y: number, width: number, height: number): void {
    this.add("image", { x, y, width, height, href: canvas.toDataURL("image/png") });
  }
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
