// One long layer's weights: the greatest of each query row, where they stand, and how much was left out.
import type { Columns } from "./arrow";
import type { SparseLayer } from "./types";
import { checkMasses } from "./values";
import { checkLengths, layerShape, weightCodes } from "./weights";

export function readSparse(columns: Columns): SparseLayer {
  const shape = layerShape(columns);
  const { heads, queries, keys } = shape;
  const rows = columns.numbers("rows", Uint16Array);
  const width = columns.numbers("columns", Uint16Array);
  if (rows.some((one) => one !== rows[0]) || width.some((one) => one !== width[0])) {
    throw columns.fail("pictures of one layer differ in shape");
  }
  const picture = columns.list("picture", Uint8Array);
  checkLengths(columns, "picture", picture.offsets, (row) => rows[row]! * width[row]!);
  const counts = columns.list("counts", Uint32Array);
  checkLengths(columns, "counts", counts.offsets, () => queries);
  const leftOut = columns.list("left_out", Float32Array);
  checkLengths(columns, "left_out", leftOut.offsets, () => queries);
  checkMasses(columns, "left_out", leftOut.values);
  const indices = columns.list("indices", Uint32Array);
  const kept = kepts(counts.values, heads.length, queries);
  checkLengths(columns, "indices", indices.offsets, (row) => kept[row]!);
  const { precision, list } = weightCodes(columns);
  checkLengths(columns, "weights", list.offsets, (row) => kept[row]!);
  return {
    stored: "sparse",
    heads,
    queries,
    keys,
    precision,
    top: numberOf(columns.metadata.get("attnlog.top")),
    mass: numberOf(columns.metadata.get("attnlog.mass")),
    starts: startsOf(columns, counts.values, indices.values, keys),
    indices: indices.values,
    codes: list.values,
    leftOut: leftOut.values,
    picture: { rows: rows[0] ?? 0, columns: width[0] ?? 0, codes: picture.values },
  };
}

/** How many keys each head keeps in all. */
function kepts(counts: Uint32Array, heads: number, queries: number): number[] {
  return Array.from({ length: heads }, (_, head) =>
    counts.subarray(head * queries, (head + 1) * queries).reduce((sum, one) => sum + one, 0),
  );
}

/** Where each row's keys begin; they have to ascend and lie in the row. */
function startsOf(columns: Columns, counts: Uint32Array, indices: Uint32Array, keys: number): Uint32Array {
  const starts = new Uint32Array(counts.length + 1);
  for (let row = 0, at = 0; row < counts.length; row++) {
    let before = -1;
    for (const end = at + counts[row]!; at < end; at++) {
      const key = indices[at]!;
      if (key <= before) throw columns.fail(`indices of row ${row} do not ascend`);
      before = key;
    }
    if (before >= keys) throw columns.fail(`row ${row} names key ${before} of ${keys}`);
    starts[row + 1] = at;
  }
  return starts;
}

function numberOf(text: string | undefined): number | null {
  const value = Number(text ?? Number.NaN);
  return Number.isFinite(value) ? value : null;
}

/** The picture of one head: greatest weight of each cell, codes as in `u8`. */
export function headPicture(layer: SparseLayer, head: number): Uint8Array | null {
  const at = layer.heads.indexOf(head);
  const size = layer.picture.rows * layer.picture.columns;
  return at < 0 ? null : layer.picture.codes.subarray(at * size, (at + 1) * size);
}
