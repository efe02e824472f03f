// Pictures of heads as the grid asks for them: those of one input and kind, cut to the tokens of a sentence pair.
import type { AxisTokens, PictureTable } from "../../decode/types";
import type { CodedPicture, Picture } from "../../draw/thumbnails";
import { filterPair, type Pair } from "../../session/pair";
import { cellOf } from "../../session/shape/pool";

/** The picture of a head; null where there is none. */
export type Pictures = (layer: number, head: number) => Picture | null;

/** Pictures as they were recorded, of the first call. */
export function recordedPictures(
  table: PictureTable,
  input: number,
  kind: string,
): (layer: number, head: number) => CodedPicture | null {
  const code = table.kinds.indexOf(kind);
  const rows = new Map<string, number>();
  for (let row = 0; row < table.length; row++) {
    if (table.input[row] !== input || table.kind[row] !== code || table.call[row] !== 0) continue;
    rows.set(`${table.layer[row]} ${table.head[row]}`, row);
  }
  return (layer, head) => {
    const row = rows.get(`${layer} ${head}`);
    if (row === undefined) return null;
    const codes = table.codes.subarray(table.offsets[row]!, table.offsets[row + 1]!);
    return { rows: table.rows[row]!, columns: table.columns[row]!, codes };
  };
}

/** Cells of a picture that hold any of the kept tokens. */
export function cellsOf(kept: readonly number[], tokens: number, cells: number): number[] {
  const found = new Set<number>();
  for (const token of kept) found.add(cellOf(token, tokens, cells));
  return [...found].sort((a, b) => a - b);
}

/** Whether a kept cell holds a token that is not kept: a cell on the border between two texts. */
export function straddles(kept: readonly number[], tokens: number, cells: number): boolean {
  const inside = new Set(kept);
  const among = new Set(cellsOf(kept, tokens, cells));
  for (let token = 0; token < tokens; token++)
    if (!inside.has(token) && among.has(cellOf(token, tokens, cells))) return true;
  return false;
}

/** Some rows and columns of a picture. */
export function crop(picture: CodedPicture, rows: readonly number[], columns: readonly number[]): CodedPicture {
  const codes = new Uint8Array(rows.length * columns.length);
  let to = 0;
  for (const row of rows) for (const column of columns) codes[to++] = picture.codes[row * picture.columns + column]!;
  return { rows: rows.length, columns: columns.length, codes };
}

export interface Paired {
  pictures: (layer: number, head: number) => CodedPicture | null;
  /** Some cells hold tokens of both texts: pictures of long inputs are pooled. */
  mixed: boolean;
}

/** Pictures of the tokens that a pair filter keeps; of heads whose layers have these numbers of tokens. */
export function pairedPictures(
  pictures: (layer: number, head: number) => CodedPicture | null,
  pair: Pair,
  tokens: { queries: number; keys: number },
  axes: { query: AxisTokens | null; key: AxisTokens | null },
): Paired {
  const kept = filterPair(pair, tokens.queries, tokens.keys, axes.query, axes.key);
  if (kept.queries.length === tokens.queries && kept.keys.length === tokens.keys) return { pictures, mixed: false };
  const known = new Map<number, number[]>();
  const cells = (positions: number[], of: number, count: number, side: number): number[] => {
    const key = count * 2 + side;
    let found = known.get(key);
    if (!found) {
      found = cellsOf(positions, of, count);
      known.set(key, found);
    }
    return found;
  };
  const size = (count: number): number => Math.min(count, POOLED);
  return {
    pictures: (layer, head) => {
      const picture = pictures(layer, head);
      if (!picture) return null;
      const rows = cells(kept.queries, tokens.queries, picture.rows, 0);
      return crop(picture, rows, cells(kept.keys, tokens.keys, picture.columns, 1));
    },
    mixed:
      straddles(kept.queries, tokens.queries, size(tokens.queries)) ||
      straddles(kept.keys, tokens.keys, size(tokens.keys)),
  };
}

/** Pictures are pooled to at most as many cells each way. */
const POOLED = 32;
