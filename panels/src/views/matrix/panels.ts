// Which matrices the view draws: one head's, those of several heads side by side, or A, B and B − A of one.
import { fromHex, NEGATIVE, POSITIVE, type Rgb } from "../../draw/colour";
import { type Cells, Pool } from "../../session/shape/pool";
import { ROOT_TABLE } from "../../decode/half";
import type { WeightLayer } from "../../decode/types";
import type { Item } from "../../session/shape/items";
import { isPlain } from "../../session/shape/items";
import { MEAN, type Shaped } from "../../session/shape/shape";
import type { HeadRows } from "../../session/weights";
import { colourOf } from "../head/stage";
import type { Region } from "./region";

export interface Panel {
  title: string;
  rows: HeadRows;
  /** The layer whose recorded picture may stand for it; null: a difference has none. */
  layer: WeightLayer | null;
  /** Which side's tokens its rows and columns are. */
  side: "a" | "b";
  signed: boolean;
  colour: Rgb;
  negative: Rgb;
  queries: readonly Item[];
  keys: readonly Item[];
}

const nameOf = (head: number): string => (head === MEAN ? "mean of heads" : `head ${head}`);

/** One panel for each head; of one head that is compared, both sides beside their difference. */
export function panelsOf(
  shaped: Shaped,
  sides: { a: Shaped; b: Shaped } | null,
  layers: { a: WeightLayer; b: WeightLayer | null },
  dark: boolean,
): Panel[] {
  const theme = dark ? "dark" : "light";
  const make = (from: Shaped, rows: HeadRows, title: string, side: "a" | "b" = "a"): Panel => ({
    title,
    rows,
    layer: from.signed ? null : layers[side],
    side,
    signed: from.signed,
    colour: from.signed ? POSITIVE[theme] : fromHex(colourOf(rows.head, dark)),
    negative: NEGATIVE[theme],
    queries: from.queries,
    keys: from.keys,
  });
  // Beside a difference no side may wear one of its two colours.
  const beside = (panel: Panel): Panel => ({ ...panel, colour: fromHex(colourOf(MEAN, dark)) });
  const [only] = shaped.heads;
  if (sides && only && shaped.heads.length === 1) {
    return [
      ...sides.a.heads.map((rows) => beside(make(sides.a, rows, `A, ${nameOf(rows.head)}`))),
      ...sides.b.heads.map((rows) => beside(make(sides.b, rows, `B, ${nameOf(rows.head)}`, "b"))),
      make(shaped, only, "B − A"),
    ];
  }
  return shaped.heads.map((rows) => make(shaped, rows, nameOf(rows.head)));
}

export interface Pooled {
  cells: Cells;
  /** Whether cells come from the picture of all weights, stored or not. */
  picture: boolean;
  /** Whether several weights share a cell. */
  several: boolean;
}

/** Values of a region in no more cells than there are pixels. */
export function cellsOf(panel: Panel, region: Region, width: number, height: number): Pooled {
  const [rows, columns] = [region.bottom - region.top, region.right - region.left];
  const far = fromPicture(panel, region, width, height);
  if (far) return { cells: far, picture: true, several: true };
  const pool = new Pool(rows, columns, Math.min(rows, height), Math.min(columns, width));
  for (let i = region.top; i < region.bottom; i++) {
    panel.rows.row(i, region.left, region.right, 0, (j, weight) => pool.add(i - region.top, j - region.left, weight));
  }
  return { cells: pool, picture: false, several: pool.rows < rows || pool.columns < columns };
}

/**
 * The recorded picture of a layer that is stored sparse, where the region shows so much that its cells are no coarser than
 * what the eye gets: it holds the greatest of all weights of a cell, of those too that are not stored.
 */
function fromPicture(panel: Panel, region: Region, width: number, height: number): Cells | null {
  const { layer, side } = panel;
  if (layer?.stored !== "sparse") return null;
  const { picture, queries, keys } = layer;
  if (!isPlain(panel.queries, queries, side) || !isPlain(panel.keys, keys, side)) return null;
  const [rows, columns] = [region.bottom - region.top, region.right - region.left];
  if (picture.rows === 0 || rows <= Math.min(height, picture.rows) || columns <= Math.min(width, picture.columns))
    return null;
  const n = layer.heads.indexOf(panel.rows.head);
  if (n < 0) return null;
  const base = n * picture.rows * picture.columns;
  const pool = new Pool(rows, columns, Math.min(rows, picture.rows), Math.min(columns, picture.columns));
  for (let r = 0; r < pool.rows; r++) {
    const row = Math.floor(((region.top + ((r + 0.5) * rows) / pool.rows) * picture.rows) / queries);
    for (let c = 0; c < pool.columns; c++) {
      const column = Math.floor(((region.left + ((c + 0.5) * columns) / pool.columns) * picture.columns) / keys);
      pool.values[r * pool.columns + c] = ROOT_TABLE[picture.codes[base + row * picture.columns + column]!]!;
    }
  }
  return pool;
}

/** The greatest size among cells: what is drawn in full colour. */
export function greatest(all: readonly Cells[]): number {
  let most = 0;
  for (const { values } of all) for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}
