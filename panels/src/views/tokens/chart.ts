// A small line chart: one statistic of the chosen token over the layers, beside the mean of all tokens.
import { extent, nice, ticks, tickText } from "../../draw/axis";
import { s } from "../../ui/dom";
import type { Ink } from "../../draw/ink";
import { round, words } from "../../ui/paper";

const EDGE = { left: 42, right: 12, top: 20, bottom: 30 };

export interface ChartData {
  /** Numbers of the layers, ascending; 0 are the embeddings. */
  layers: number[];
  /** NaN where there is no value. */
  values: number[];
  mean: number[];
  label: string;
  /** Name of the chosen token. */
  token: string;
  /** The layer whose values shade the text. */
  now: number | null;
}

function path(data: ChartData, values: number[], x: (n: number) => number, y: (value: number) => number): string {
  let text = "";
  let pen = false;
  for (const [n, value] of values.entries()) {
    if (Number.isFinite(value)) text += `${pen ? "L" : "M"}${round(x(data.layers[n]!))} ${round(y(value))}`;
    pen = Number.isFinite(value);
  }
  return text;
}

/** Shapes of the chart, with their colours. */
export function chart(data: ChartData, ink: Ink, width: number, height: number): SVGElement {
  const node = s("g", { "font-size": 10.5 });
  const known = [...data.values, ...data.mean].filter(Number.isFinite);
  const [low, high] = extent(known);
  const range = known.length > 0 ? nice(low, high > low ? high : low + 1e-3, 3) : ([0, 1] as [number, number]);
  const bottom = height - EDGE.bottom;
  const first = data.layers[0] ?? 0;
  const last = data.layers[data.layers.length - 1] ?? 0;
  const room = width - EDGE.left - EDGE.right;
  const x = (layer: number): number =>
    EDGE.left + (last > first ? ((layer - first) / (last - first)) * room : room / 2);
  const y = (value: number): number => bottom - ((value - range[0]) / (range[1] - range[0])) * (bottom - EDGE.top);
  for (const tick of ticks(...range, 3)) {
    const at = round(y(tick));
    node.append(
      s("line", { x1: EDGE.left, x2: width - EDGE.right, y1: at, y2: at, stroke: ink.faint }),
      words(EDGE.left - 6, at, tickText(tick), ink.dim, { "text-anchor": "end" }),
    );
  }
  const every = Math.max(1, Math.ceil(data.layers.length / Math.max(2, Math.floor(room / 28))));
  data.layers.forEach((layer, n) => {
    if (n % every === 0)
      node.append(
        words(x(layer), bottom + 11, layer === 0 ? "emb." : String(layer), ink.dim, { "text-anchor": "middle" }),
      );
  });
  node.append(
    words(4, 8, data.label, ink.dim),
    words(width - EDGE.right, 8, `── ${data.token}   ╌╌ mean of all tokens`, ink.dim, { "text-anchor": "end" }),
    words(EDGE.left + room / 2, height - 9, "after so many layers", ink.dim, { "text-anchor": "middle" }),
  );
  if (data.now !== null) {
    const at = round(x(data.now));
    const marked = { x1: at, x2: at, y1: EDGE.top, y2: bottom, stroke: ink.accent, "stroke-dasharray": "3 3" };
    node.append(s("line", { ...marked, "stroke-width": 1.3 }));
  }
  const line = { fill: "none", "stroke-linejoin": "round" };
  node.append(
    s("path", {
      ...line,
      d: path(data, data.mean, x, y),
      stroke: ink.dim,
      "stroke-width": 1.3,
      "stroke-dasharray": "4 3",
    }),
    s("path", { ...line, d: path(data, data.values, x, y), stroke: ink.positive, "stroke-width": 2 }),
  );
  if (data.layers.length <= 40) {
    data.values.forEach((value, n) => {
      if (!Number.isFinite(value)) return;
      node.append(s("circle", { cx: round(x(data.layers[n]!)), cy: round(y(value)), r: 2.5, fill: ink.positive }));
    });
  }
  return node;
}
