// The neuron view as shapes: cells of one colour and strength are one path, so that thousands of them stay small.
import { strength } from "../../draw/strips";
import type { Ink } from "../../draw/ink";
import { s } from "../../ui/dom";
import { box, round, sheet, words } from "../../ui/paper";
import { nameOf } from "../tokens/names";
import { MOST_IN_PICTURE } from "../tokens/text";
import type { Column } from "./columns";
import type { NeuronData } from "./data";
import { reordered } from "./sorting";
import type { StripColumn } from "./strips";

const LINE = 18;
const CELL = 11;
const LEVELS = 16;

export interface Pictured {
  title: string;
  data: NeuronData;
  strips: StripColumn[];
  columns: Column[];
  /** Rows in sight: all that is drawn of a long input. */
  sight: { first: number; end: number };
}

/** Cells by colour and strength, as the data of one path each. */
class Cells {
  private readonly paths = new Map<number, string[]>();

  strip(values: ArrayLike<number>, scale: number, left: number, top: number, width: number): void {
    const wide = width / values.length;
    for (let d = 0; d < values.length; d++) {
      const value = values[d]!;
      const level = Number.isNaN(value) ? 0 : Math.round(strength(value, scale) * LEVELS);
      if (level === 0) continue;
      const key = value < 0 ? -level : level;
      const cell = `M${round(left + d * wide)} ${round(top)}h${round(wide)}v${CELL}h${-round(wide)}z`;
      const known = this.paths.get(key);
      if (known) known.push(cell);
      else this.paths.set(key, [cell]);
    }
  }

  shapes(ink: Ink): SVGElement[] {
    return [...this.paths].map(([level, cells]) =>
      s("path", {
        d: cells.join(""),
        fill: level < 0 ? ink.negative : ink.positive,
        "fill-opacity": round(Math.abs(level) / LEVELS),
      }),
    );
  }
}

export function neuronPicture(shown: Pictured[], title: string, ink: Ink): SVGSVGElement {
  const parts = shown.map((one) => part(one, ink));
  return sheet(title, Math.max(...parts.map((one) => one.width)), parts, ink);
}

function part(
  { title, data, strips, columns, sight }: Pictured,
  ink: Ink,
): { node: SVGElement; width: number; height: number } {
  const node = s("g", { "font-size": 12 });
  const all = data.rows.length <= MOST_IN_PICTURE;
  const rows = all ? data.rows : data.rows.slice(sight.first, sight.end);
  const cells = new Cells();
  const place = new Map<unknown, { left: number; width: number }>();
  let left = 110;
  for (const one of [...strips.filter((x) => !x.after), ...columns, ...strips.filter((x) => x.after)]) {
    const width = "track" in one ? (one.bar ? 90 : 46) : Math.max(80, Math.min(220, one.width * 3));
    place.set(one, { left, width });
    left += width + 10;
  }
  node.append(words(0, 7, title, ink.ink, { "font-weight": 600 }));
  for (const one of [...strips, ...columns]) {
    const { left: from, width } = place.get(one)!;
    const right = "track" in one && one.right;
    node.append(words(right ? from + width : from, 25, one.name, ink.dim, { "text-anchor": right ? "end" : "start" }));
  }
  node.append(words(0, 25, "key", ink.dim));
  node.append(words(0, 43, `q ${nameOf(data.queryNames, data.i, 16)}`, ink.ink, { "font-weight": 600 }));
  for (const strip of strips) {
    const { left: from, width } = place.get(strip)!;
    if (strip.top) cells.strip(reordered(strip.top.values, strip.order), strip.top.scale, from, 37, width);
  }
  rows.forEach((j, n) => {
    const top = 55 + n * LINE;
    const open = data.explained.open[j]!;
    node.append(words(0, top + 6, nameOf(data.keyNames, j, 16), open ? ink.ink : ink.dim));
    if (!open) return;
    for (const strip of strips) {
      const { left: from, width } = place.get(strip)!;
      const values = strip.values.subarray(j * strip.width, (j + 1) * strip.width);
      cells.strip(reordered(values, strip.order), strip.scale, from, top, width);
    }
    for (const column of columns) {
      const { left: from, width } = place.get(column)!;
      const text = column.text(j);
      if (!column.bar) node.append(words(from + width, top + 6, text, ink.dim, { "text-anchor": "end" }));
      else {
        const value = column.value(j);
        const long = Number.isNaN(value) ? 0 : Math.max(1, value * (width - 34));
        if (long > 0) node.append(box(from, top + 1, long, 9, ink.accent));
        node.append(words(from + (long > 0 ? long + 5 : 0), top + 6, text, ink.dim));
      }
    }
  });
  node.append(...cells.shapes(ink));
  return { node, width: left, height: 55 + rows.length * LINE };
}
