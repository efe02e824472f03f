// Lines of the head view: which weights are strong enough to draw, and their picture for the visible window.
import type { Rgb } from "../../draw/colour";
import { Splat } from "../../draw/splat";
import type { HeadRows } from "../../session/weights";

/** Weights below this leave no visible trace. */
const FAINTEST = 0.004;
/** More lines than this only make a grey field: the weakest are left out where nobody has asked for them. */
const MOST_LINES = 9_000;

export interface HeadLines {
  rows: HeadRows;
  colour: Rgb;
  /** Colour of values below 0, which only differences have. */
  negative?: Rgb;
}

export interface Layout {
  /** How many items are shown on either side. */
  queries: number;
  keys: number;
  /** Row height and window in CSS pixels, and device pixels per CSS pixel. */
  row: number;
  top: number;
  width: number;
  height: number;
  ratio: number;
}

/** One item whose lines are shown alone. */
export interface Pointed {
  side: "query" | "key";
  at: number;
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

type Draw = (i: number, j: number, weight: number) => void;

/** Calls back for each line that has an end in the window. */
function eachLine({ rows }: HeadLines, layout: Layout, least: number, draw: Draw): void {
  const { queries, keys } = layout;
  const left = visible(queries, layout);
  const right = visible(keys, layout);
  for (let i = 0; i < queries; i++) {
    const inside = i >= left.first && i < left.end;
    const first = inside ? 0 : right.first;
    const end = inside ? keys : right.end;
    if (first < end) rows.row(i, first, end, least, (j, weight) => draw(i, j, weight));
  }
}

/** Calls back for each line of one item. */
function eachOf({ rows }: HeadLines, layout: Layout, only: Pointed, least: number, draw: Draw): void {
  if (only.side === "query") {
    rows.row(only.at, 0, layout.keys, least, (j, weight) => draw(only.at, j, weight));
    return;
  }
  for (let i = 0; i < layout.queries; i++) {
    const weight = rows.at(i, only.at);
    if (weight !== null && Math.abs(weight) >= least) draw(i, only.at, weight);
  }
}

/** The weight from which lines are drawn where nobody has said, so that there are not more than MOST_LINES. */
export function faintest(heads: HeadLines[], layout: Layout): number {
  const bins = new Uint32Array(256);
  for (const head of heads)
    eachLine(head, layout, FAINTEST, (_i, _j, w) => bins[Math.min(255, (Math.sqrt(Math.abs(w)) * 255) | 0)]!++);
  let count = 0;
  for (let bin = 255; bin >= 0; bin--) {
    count += bins[bin]!;
    if (count > MOST_LINES) return Math.max(FAINTEST, ((bin + 1) / 255) ** 2);
  }
  return FAINTEST;
}

/** All lines of the chosen heads in the window of at least this weight; `only` keeps those of one item on one side. */
export function drawLines(
  heads: HeadLines[],
  layout: Layout,
  least: number,
  only: Pointed | null,
): { pixels: Uint8ClampedArray<ArrayBuffer>; width: number; height: number; lines: number } {
  const { row, ratio, top } = layout;
  const width = Math.max(1, Math.round(layout.width * ratio));
  const height = Math.max(1, Math.round(layout.height * ratio));
  const splat = new Splat(width, height);
  const thick = (only ? 1.7 : 1.25) * ratio;
  const place = (index: number): number => ((index + 0.5) * row - top) * ratio;
  let lines = 0;
  const pass = (head: HeadLines, colour: Rgb, sign: 1 | -1): void => {
    const draw: Draw = (i, j, weight) => {
      if (weight * sign < 0) return;
      splat.line(place(i), place(j), weight * sign, thick);
      lines++;
    };
    if (only) eachOf(head, layout, only, least, draw);
    else eachLine(head, layout, least, draw);
    splat.paint(colour);
  };
  for (const head of heads) {
    pass(head, head.colour, 1);
    if (head.negative) pass(head, head.negative, -1);
  }
  return { pixels: splat.pixels(), width, height, lines };
}
