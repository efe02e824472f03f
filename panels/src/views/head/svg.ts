// The head view as a vector picture: both columns whole for up to 256 tokens, else the part on screen with its lines as pixels.
import { css } from "../../draw/colour";
import type { Ink } from "../../draw/ink";
import type { Item } from "../../session/shape/items";
import type { Shaped } from "../../session/shape/shape";
import { s } from "../../ui/dom";
import { type Part, pixels, round, words } from "../../ui/paper";
import { plain } from "../../ui/tokens";
import { drawLines, type HeadLines } from "./lines";
import type { Stage } from "./stage";

/** Items of a column that are still drawn as shapes. */
const VECTOR = 256;
/** Lines that are still drawn as shapes: more make a file that nothing opens. */
const MOST_SHAPES = 30_000;
const ROW = 20;
const SPACE = { side: 150, lines: 420 };
export const WIDTH = SPACE.side * 2 + SPACE.lines;
/** As the splat draws a single line: a weight of 1 is nearly opaque. */
const GAIN = 2.4;

export function headPicture(
  shaped: Shaped,
  heads: readonly HeadLines[],
  { byteLevel, least, ink, stage }: { byteLevel: boolean; least: number; ink: Ink; stage: Stage },
): Part {
  const most = Math.max(shaped.queries.length, shaped.keys.length);
  const whole = most <= VECTOR;
  const shapes = whole && countLines(shaped, heads, least) <= MOST_SHAPES;
  const layout = stage.layout!;
  const first = whole ? 0 : Math.floor(layout.top / layout.row);
  const end = whole ? most : Math.min(most, first + Math.ceil(layout.height / layout.row));
  const node = s("g");
  const y = (index: number): number => (index - first + 0.5) * ROW;
  if (shapes) {
    for (const { rows, colour, negative } of heads) {
      const group = s("g", { fill: "none", "stroke-width": 1.25 });
      for (let i = 0; i < shaped.queries.length; i++) {
        rows.row(i, 0, shaped.keys.length, least, (j, weight) => {
          const stroke = css(weight < 0 && negative ? negative : colour);
          const opacity = round(1 - Math.exp(-GAIN * Math.abs(weight)));
          group.append(s("path", { d: curve(y(i), y(j)), stroke, "stroke-opacity": opacity }));
        });
      }
      node.append(group);
    }
  } else {
    const { queries, keys } = shaped;
    node.append(lines(heads, least, { first, count: end - first, queries: queries.length, keys: keys.length }));
  }
  const column = (items: readonly Item[], x: number, anchor: string): void => {
    for (let n = first; n < Math.min(end, items.length); n++) {
      const item = items[n]!;
      const fill = item.special ? ink.dim : ink.ink;
      node.append(words(x, y(n), plain(item.text, byteLevel, 18), fill, { "text-anchor": anchor }));
    }
  };
  column(shaped.queries, SPACE.side - 8, "end");
  column(shaped.keys, WIDTH - SPACE.side + 8, "start");
  return { node, height: (end - first) * ROW };
}

function countLines({ queries, keys }: Shaped, heads: readonly HeadLines[], least: number): number {
  let count = 0;
  for (const { rows } of heads)
    for (let i = 0; i < queries.length; i++) rows.row(i, 0, keys.length, least, () => count++);
  return count;
}

/** From the left column to the right, level at both ends as the splat's lines are. */
function curve(from: number, to: number): string {
  const [left, right] = [SPACE.side, SPACE.side + SPACE.lines];
  const rise = to - from;
  const bend = SPACE.lines / 3;
  const slope = 0.65 * (rise / 3);
  return `M${left} ${round(from)}C${left + bend} ${round(from + slope)} ${right - bend} ${round(to - slope)} ${right} ${round(to)}`;
}

/** Lines as pixels, of the rows that are in the picture. */
function lines(
  heads: readonly HeadLines[],
  least: number,
  { first, count, queries, keys }: { first: number; count: number; queries: number; keys: number },
): SVGElement {
  const ratio = 2;
  const window = { queries, keys, row: ROW, top: first * ROW, width: SPACE.lines, height: count * ROW, ratio };
  const picture = drawLines([...heads], window, least, null);
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")!.putImageData(new ImageData(picture.pixels, picture.width, picture.height), 0, 0);
  return pixels(canvas, { x: SPACE.side, y: 0, width: SPACE.lines, height: count * ROW });
}
