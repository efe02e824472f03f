// Where thumbnails and their labels stand: a row per layer, or as many to a row as there is room for, in their order.
import type { KindEntry } from "../../session/scene";
import { short } from "../../ui/dom";
import type { Place, Ranked } from "./order";

const LABEL = 26;
const TOP = 18;
const GAP = 3;
const SIZE = { least: 16, most: 84 };
/** Ranked thumbnails are as wide as their labels at least; in a column that scrolls few of them grow up to a height. */
const RANKED = { least: 52, label: 15, gap: 8, height: 320 };

export interface Cell extends Place {
  row: number;
  column: number;
}

export interface Label {
  text: string;
  /** CSS pixels from the grid's corner; `y` is the middle of the text. */
  x: number;
  y: number;
  anchor: "start" | "middle" | "end";
  /** A name, where other labels are numbers. */
  strong?: boolean;
}

export interface Layout {
  cells: Cell[];
  rows: number;
  columns: number;
  /** Of a thumbnail, and from one to the next. */
  size: number;
  pitch: { x: number; y: number };
  left: number;
  top: number;
  width: number;
  height: number;
  labels: Label[];
  /** Layers in order, which their colours follow. */
  layers: number[];
}

export interface Room {
  width: number;
  height: number;
}

const between = (low: number, value: number, high: number): number => Math.max(low, Math.min(high, value));

/** A row per layer, a column per head number; layers of fewer heads leave their places empty. */
export function layered(kind: KindEntry, room: Room): Layout {
  const numbers = [...new Set(kind.layers.flatMap((one) => one.heads))].sort((a, b) => a - b);
  const tall = Math.floor((room.height - TOP) / Math.max(1, kind.layers.length)) - GAP;
  const wide = Math.floor((room.width - LABEL) / Math.max(1, numbers.length)) - GAP;
  const size = between(SIZE.least, Math.min(wide, tall), SIZE.most);
  const pitch = size + GAP;
  // Labels thin out where cells are narrower than their numbers.
  const every = size < 18 ? 2 : 1;
  const heads = numbers.flatMap((head, column): Label[] => {
    const x = LABEL + column * pitch + size / 2;
    return column % every === 0 ? [{ text: String(head), x, y: TOP / 2 - 1, anchor: "middle" }] : [];
  });
  const layers = kind.layers.map(({ layer }, row): Label => {
    return { text: String(layer), x: LABEL - 6, y: TOP + row * pitch + size / 2, anchor: "end" };
  });
  return {
    cells: kind.layers.flatMap(({ layer, heads }, row) =>
      heads.map((head) => ({ layer, head, row, column: numbers.indexOf(head) })),
    ),
    rows: kind.layers.length,
    columns: numbers.length,
    size,
    pitch: { x: pitch, y: pitch },
    left: LABEL,
    top: TOP,
    width: LABEL + numbers.length * pitch,
    height: TOP + kind.layers.length * pitch,
    labels: [...heads, ...layers],
    layers: kind.layers.map((one) => one.layer),
  };
}

/** Heads in their order, each under its name and value. */
export function flat(ranked: readonly Ranked[], layers: readonly number[], room: Room): Layout {
  const count = Math.max(1, ranked.length);
  const height = Number.isFinite(room.height) ? room.height : RANKED.height;
  const columnsAt = (size: number): number => Math.max(1, Math.floor((room.width + RANKED.gap) / (size + RANKED.gap)));
  const fits = (size: number): boolean => Math.ceil(count / columnsAt(size)) * (size + RANKED.label + GAP) <= height;
  let size: number = RANKED.least;
  // As large as all of them can be seen at once.
  while (size < SIZE.most && fits(size + 1)) size++;
  // A column that scrolls is filled from side to side.
  if (!fits(size))
    size = between(size, Math.floor((room.width + RANKED.gap) / columnsAt(size)) - RANKED.gap, SIZE.most);
  const columns = Math.min(count, columnsAt(size));
  const pitch = { x: size + RANKED.gap, y: size + RANKED.label + GAP };
  const cells = ranked.map(({ layer, head }, n) => ({
    layer,
    head,
    row: Math.floor(n / columns),
    column: n % columns,
  }));
  const labels = cells.flatMap(({ layer, head, row, column }, n): Label[] => {
    const x = column * pitch.x;
    const y = row * pitch.y + size + RANKED.label / 2;
    return [
      { text: `${layer}.${head}`, x, y, anchor: "start", strong: true },
      { text: short(ranked[n]!.value), x: x + size, y, anchor: "end" },
    ];
  });
  const rows = Math.ceil(count / columns);
  const extent = { width: columns * pitch.x, height: rows * pitch.y };
  return { cells, rows, columns, size, pitch, left: 0, top: 0, ...extent, labels, layers: [...layers] };
}

/** The cell at a place of the grid, in CSS pixels. */
export function cellAt(layout: Layout, x: number, y: number): Cell | null {
  const column = Math.floor((x - layout.left) / layout.pitch.x);
  const row = Math.floor((y - layout.top) / layout.pitch.y);
  return layout.cells.find((one) => one.row === row && one.column === column) ?? null;
}

export const findCell = (layout: Layout, place: Place): Cell | null =>
  layout.cells.find((one) => one.layer === place.layer && one.head === place.head) ?? null;

/** The next cell in a direction, over places where a layer has no head; the same where there is none. */
export function neighbour(layout: Layout, from: Cell, down: number, right: number): Cell {
  let { row, column } = from;
  while (true) {
    row += down;
    column += right;
    if (row < 0 || column < 0 || row >= layout.rows || column >= layout.columns) return from;
    const found = layout.cells.find((one) => one.row === row && one.column === column);
    if (found) return found;
  }
}
