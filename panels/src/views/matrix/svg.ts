// The matrix view as a vector picture: a rectangle for each cell where they are few, else its pixels.
import { css } from "../../draw/colour";
import { shade } from "../../draw/heat";
import type { Ink } from "../../draw/ink";
import { s } from "../../ui/dom";
import { box, type Part, pixels, words } from "../../ui/paper";
import { plain } from "../../ui/tokens";
import type { PlotSpec } from "./plot";

/** Cells of a picture that are still drawn as shapes: those of 256 tokens either way. */
const VECTOR = 256 * 256;
const EDGE = { left: 110, top: 100, title: 22, gap: 24 };

export function matrixPicture(
  specs: readonly PlotSpec[],
  images: readonly HTMLCanvasElement[],
  ink: Ink,
): Part & { width: number } {
  const first = specs[0]!;
  const axes = first.axes !== null;
  const around = { left: axes ? EDGE.left : 0, top: EDGE.title + (axes ? EDGE.top : 0) };
  const across = Math.min(specs.length, axes ? specs.length : Math.ceil(Math.sqrt(specs.length)));
  const [cellWidth, cellHeight] = [first.width + around.left + EDGE.gap, first.height + around.top + EDGE.gap];
  const down = Math.ceil(specs.length / across);
  const node = s("g", { "font-size": 11 });
  for (const [n, spec] of specs.entries()) {
    const left = (n % across) * cellWidth + around.left;
    const top = Math.floor(n / across) * cellHeight + around.top;
    node.append(words(left, top - around.top + 8, spec.title, ink.ink, { "font-weight": 600, "font-size": 12 }));
    node.append(cellsOf(spec, specs.length, images[n]!, left, top));
    if (spec.axes) node.append(...labels(spec, left, top, ink));
    const frame = box(left - 0.5, top - 0.5, spec.width + 1, spec.height + 1, "none");
    frame.setAttribute("stroke", ink.line);
    node.append(frame);
  }
  return { node, width: across * cellWidth - EDGE.gap + 1, height: down * cellHeight - EDGE.gap };
}

function cellsOf(spec: PlotSpec, count: number, image: HTMLCanvasElement, left: number, top: number): SVGElement {
  const { cells, shades, width, height } = spec;
  if (count * cells.rows * cells.columns > VECTOR) return pixels(image, { x: left, y: top, width, height });
  const group = s("g", { "shape-rendering": "crispEdges" });
  const [w, h] = [width / cells.columns, height / cells.rows];
  for (let r = 0; r < cells.rows; r++) {
    for (let c = 0; c < cells.columns; c++) {
      const value = cells.values[r * cells.columns + c]!;
      const [x, y] = [left + c * w, top + r * h];
      if (Number.isNaN(value)) group.append(box(x, y, w, h, css(shades.unknown), 0.2));
      else if (value !== 0 && Math.abs(value) >= shades.least)
        group.append(box(x, y, w, h, css(value < 0 ? shades.negative : shades.colour), shade(value, shades.scale)));
    }
  }
  return group;
}

function labels({ axes, region, width, height }: PlotSpec, left: number, top: number, ink: Ink): SVGElement[] {
  if (!axes) return [];
  const list: SVGElement[] = [];
  const rows = region.bottom - region.top;
  const columns = region.right - region.left;
  const every = {
    row: Math.max(1, Math.ceil((12 * rows) / height)),
    column: Math.max(1, Math.ceil((12 * columns) / width)),
  };
  for (let i = region.top; i < region.bottom; i += every.row) {
    const y = top + ((i - region.top + 0.5) * height) / rows;
    const text = plain(axes.queries[i]!.text, axes.byteLevel, 14);
    list.push(words(left - 6, y, text, ink.ink, { "text-anchor": "end" }));
  }
  for (let j = region.left; j < region.right; j += every.column) {
    const x = left + ((j - region.left + 0.5) * width) / columns;
    const turn = `rotate(-90 ${x} ${top - 6})`;
    list.push(words(x, top - 6, plain(axes.keys[j]!.text, axes.byteLevel, 14), ink.ink, { transform: turn }));
  }
  return list;
}
