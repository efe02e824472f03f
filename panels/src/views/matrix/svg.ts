// The matrix view as a vector picture: a rectangle for each cell where they are few, else its pixels.
import { shade } from "../../draw/heat";
import { Vector } from "../../draw/vector";
import { plain } from "../../ui/tokens";
import type { PlotSpec } from "./plot";

/** Cells of one matrix that are still drawn as shapes: 256 tokens either way. */
const VECTOR = 256 * 256;
const EDGE = { left: 110, top: 100, title: 22, gap: 24 };

export function matrixSvg(
  specs: readonly PlotSpec[],
  images: readonly HTMLCanvasElement[],
  dark: boolean,
): SVGSVGElement {
  const first = specs[0]!;
  const axes = first.axes !== null;
  const around = { left: axes ? EDGE.left : 0, top: EDGE.title + (axes ? EDGE.top : 0) };
  const across = Math.min(specs.length, axes ? specs.length : Math.ceil(Math.sqrt(specs.length)));
  const [cellWidth, cellHeight] = [first.width + around.left + EDGE.gap, first.height + around.top + EDGE.gap];
  const down = Math.ceil(specs.length / across);
  const vector = new Vector(across * cellWidth + EDGE.gap, down * cellHeight + EDGE.gap, "matrix view", dark);
  for (const [n, spec] of specs.entries()) {
    const left = EDGE.gap + (n % across) * cellWidth + around.left;
    const top = EDGE.gap + Math.floor(n / across) * cellHeight + around.top;
    vector.text(left, top - around.top + 12, spec.title, { "font-weight": 600, "font-size": 12 });
    one(vector, spec, images[n]!, left, top);
    if (spec.axes) labels(vector, spec, left, top);
    vector.add("rect", {
      x: left - 0.5,
      y: top - 0.5,
      width: spec.width + 1,
      height: spec.height + 1,
      fill: "none",
      stroke: vector.ink.line,
    });
  }
  return vector.root;
}

function one(vector: Vector, spec: PlotSpec, image: HTMLCanvasElement, left: number, top: number): void {
  const { cells, shades, width, height } = spec;
  if (cells.rows * cells.columns > VECTOR) {
    vector.picture(image, left, top, width, height);
    return;
  }
  const group = vector.group({ "shape-rendering": "crispEdges" });
  const [w, h] = [width / cells.columns, height / cells.rows];
  for (let r = 0; r < cells.rows; r++) {
    for (let c = 0; c < cells.columns; c++) {
      const value = cells.values[r * cells.columns + c]!;
      const [x, y] = [left + c * w, top + r * h];
      if (Number.isNaN(value)) vector.rect(x, y, w, h, shades.unknown, 0.2, group);
      else if (value !== 0 && Math.abs(value) >= shades.least)
        vector.rect(x, y, w, h, value < 0 ? shades.negative : shades.colour, shade(value, shades.scale), group);
    }
  }
}

function labels(vector: Vector, { axes, region, width, height }: PlotSpec, left: number, top: number): void {
  if (!axes) return;
  const rows = region.bottom - region.top;
  const columns = region.right - region.left;
  const every = {
    row: Math.max(1, Math.ceil((12 * rows) / height)),
    column: Math.max(1, Math.ceil((12 * columns) / width)),
  };
  for (let i = region.top; i < region.bottom; i += every.row) {
    const y = top + ((i - region.top + 0.5) * height) / rows + 4;
    vector.text(left - 6, y, plain(axes.queries[i]!.text, axes.byteLevel, 14), {
      "text-anchor": "end",
      "font-size": 11,
    });
  }
  for (let j = region.left; j < region.right; j += every.column) {
    const x = left + ((j - region.left + 0.5) * width) / columns + 4;
    const turn = `rotate(-90 ${x} ${top - 6})`;
    vector.text(x, top - 6, plain(axes.keys[j]!.text, axes.byteLevel, 14), { transform: turn, "font-size": 11 });
  }
}
