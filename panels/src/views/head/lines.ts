// Lines of the head view: which weights are strong enough to draw, and their picture for the visible window.
import type { Rgb } from "../../draw/colour";
import { Splat } from "../../draw/splat";
import type { HeadRows } from "../../session/weights";

/** Weights below this leave no visible trace. */
const FAINTEST = 0.004;
/** More lines than this only make a grey field: the weakest are left out. */
const MOST_LINES = 9_000;

export interface HeadLines {
  rows: HeadRows;
  colour: Rgb;
}

export interface Layout {
  /** Positions of the tokens shown on either side. */
  queries: number[];
  keys: number[];
  /** Where each key position stands among the keys shown, −1 where it is not. */
  place: Int32Array;
  /** Row height and window in CSS pixels, and device pixels per CSS pixel. */
  row: number;
  top: number;
  width: number;
  height: number;
  ratio: number;
}

/** One token whose lines are shown alone; `at` counts the tokens shown. */
export interface Pointed {
  side: "query" | "key";
  at: number;
}

/** Where each of `count` positions stands among those shown. */
export function placesOf(shown: readonly number[], count: number): Int32Array {
  const place = new Int32Array(count).fill(-1);
  shown.forEach((position, at) => {
    place[position] = at;
  });
  return place;
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
  const { queries, keys, place } = layout;
  if (keys.length === 0) return;
  const left = visible(queries.length, layout);
  const right = visible(keys.length, layout);
  for (let i = 0; i < queries.length; i++) {
    const inside = i >= left.first && i < left.end;
    const first = inside ? 0 : right.first;
    const end = inside ? keys.length : right.end;
    if (first >= end) continue;
    rows.row(queries[i]!, keys[first]!, keys[end - 1]! + 1, least, (key, weight) => {
      const j = place[key]!;
      if (j >= 0) draw(i, j, weight);
    });
  }
}

/** Calls back for each line of one token. */
function eachOf({ rows }: HeadLines, layout: Layout, only: Pointed, least: number, draw: Draw): void {
  const { queries, keys, place } = layout;
  if (only.side === "query") {
    rows.row(queries[only.at]!, 0, place.length, least, (key, weight) => {
      if (place[key]! >= 0) draw(only.at, place[key]!, weight);
    });
    return;
  }
  queries.forEach((query, i) => {
    const weight = rows.at(query, keys[only.at]!);
    if (weight !== null && weight >= least) draw(i, only.at, weight);
  });
}

/** The weight from which lines are drawn, so that there are not more than MOST_LINES. */
export function faintest(heads: HeadLines[], layout: Layout): number {
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
  for (const head of heads) {
    const draw: Draw = (i, j, weight) => {
      splat.line(place(i), place(j), weight, thick);
      lines++;
    };
    if (only) eachOf(head, layout, only, least, draw);
    else eachLine(head, layout, least, draw);
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

/** The strongest stored weights among the tokens shown, strongest first. */
export function topWeights(heads: HeadLines[], layout: Pick<Layout, "queries" | "place">, count: number): TopWeight[] {
  const top: TopWeight[] = [];
  for (const { rows } of heads) {
    for (const query of layout.queries) {
      const least = top.length >= count ? top[top.length - 1]!.weight : 0;
      rows.row(query, 0, layout.place.length, least, (key, weight) => {
        if (weight === 0 || layout.place[key]! < 0) return;
        if (top.length >= count && weight <= top[top.length - 1]!.weight) return;
        let at = top.length;
        while (at > 0 && top[at - 1]!.weight < weight) at--;
        top.splice(at, 0, { head: rows.head, query, key, weight });
        if (top.length > count) top.pop();
      });
    }
  }
  return top;
}
