// Lines of the head view: which weights are strong enough to draw, and their picture for the visible window.
import type { Rgb } from "../../draw/colour";
import { Splat } from "../../draw/splat";

/** Weights below this leave no visible trace. */
const FAINTEST = 0.004;
/** More lines than this only make a grey field: the weakest are left out. */
const MOST_LINES = 9_000;

export interface HeadWeights {
  head: number;
  weights: Float32Array;
  colour: Rgb;
}

export interface Layout {
  /** Positions of the tokens shown on either side. */
  queries: number[];
  keys: number[];
  /** Keys of the full matrix: its row length. */
  stride: number;
  /** Row height and window in CSS pixels, and device pixels per CSS pixel. */
  row: number;
  top: number;
  width: number;
  height: number;
  ratio: number;
}

interface Span {
  first: number;
  end: number;
}

function visible(count: number, layout: Layout): Span {
  return {
    first: Math.max(0, Math.floor(layout.top / layout.row) - 1),
    end: Math.min(count, Math.ceil((layout.top + layout.height) / layout.row) + 1),
  };
}

/** Calls back for each line that has an end in the window. */
function eachLine(
  head: HeadWeights,
  layout: Layout,
  least: number,
  draw: (i: number, j: number, w: number) => void,
): void {
  const { queries, keys, stride } = layout;
  const left = visible(queries.length, layout);
  const right = visible(keys.length, layout);
  for (let i = 0; i < queries.length; i++) {
    const inside = i >= left.first && i < left.end;
    const from = inside ? 0 : right.first;
    const to = inside ? keys.length : right.end;
    const base = queries[i]! * stride;
    for (let j = from; j < to; j++) {
      const weight = head.weights[base + keys[j]!]!;
      if (weight >= least) draw(i, j, weight);
    }
  }
}

/** The weight from which lines are drawn, so that there are not more than MOST_LINES. */
export function faintest(heads: HeadWeights[], layout: Layout): number {
  const bins = new Uint32Array(256);
  for (const head of heads)
    eachLine(head, layout, FAINTEST, (_i, _j, w) => bins[Math.min(255, (Math.sqrt(w) * 255) | 0)]!++);
  let count = 0;
  for (let bin = 255; bin >= 0; bin--) {
    count += bins[bin]!;
    if (count > MOST_LINES) return Math.max(FAINTEST, ((bin + 1) / 255) ** 2);
  }
  return FAINTEST;
}

/** All lines of the chosen heads in the window; `only` keeps those of one token on one side. */
export function drawLines(
  heads: HeadWeights[],
  layout: Layout,
  least: number,
  only: { side: "query" | "key"; at: number } | null,
): { pixels: Uint8ClampedArray<ArrayBuffer>; width: number; height: number; lines: number } {
  const { row, ratio, top } = layout;
  const width = Math.max(1, Math.round(layout.width * ratio));
  const height = Math.max(1, Math.round(layout.height * ratio));
  const splat = new Splat(width, height);
  const thick = (only ? 1.7 : 1.25) * ratio;
  const place = (index: number): number => ((index + 0.5) * row - top) * ratio;
  let lines = 0;
  for (const head of heads) {
    eachLine(head, layout, only ? Math.min(least, FAINTEST) : least, (i, j, weight) => {
      if (only && (only.side === "query" ? i : j) !== only.at) return;
      splat.line(place(i), place(j), weight, thick);
      lines++;
    });
    splat.paint(head.colour);
  }
  return { pixels: splat.pixels(), width, height, lines };
}

export interface TopWeight {
  head: number;
  query: number;
  key: number;
  weight: number;
}

/** The strongest weights of the chosen heads, strongest first. */
export function topWeights(
  heads: HeadWeights[],
  layout: Pick<Layout, "queries" | "keys" | "stride">,
  count: number,
): TopWeight[] {
  const top: TopWeight[] = [];
  let least = 0;
  for (const { head, weights } of heads) {
    for (const query of layout.queries) {
      for (const key of layout.keys) {
        const weight = weights[query * layout.stride + key]!;
        if (weight <= least || (top.length >= count && weight <= top[top.length - 1]!.weight)) continue;
        let at = top.length;
        while (at > 0 && top[at - 1]!.weight < weight) at--;
        top.splice(at, 0, { head, query, key, weight });
        if (top.length > count) top.pop();
        if (top.length === count) least = top[count - 1]!.weight;
      }
    }
  }
  return top;
}
