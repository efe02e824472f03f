// Codes of weights: which column type each precision has, and the weights that codes stand for.
import type { Columns, ListColumn } from "./arrow";
import { fromHalf, fromRoot, halfTable, ROOT_TABLE } from "./half";
import type { Codes, Precision } from "./types";
import { checkWeights } from "./values";

const ITEMS = { u8: "uint8", f16: "float16", f32: "float32" } as const;

/** The column `weights`, its type that of the asset's precision and its values weights. */
export function weightCodes(columns: Columns): { precision: Precision; list: ListColumn<Codes> } {
  const precision = columns.precision as Precision | null;
  if (precision !== "u8" && precision !== "f16" && precision !== "f32") {
    throw columns.fail(`attnlog.precision is ${JSON.stringify(precision)}, not u8, f16 or f32`);
  }
  const item = columns.type("weights");
  if (item !== ITEMS[precision]) throw columns.fail(`weights are ${item}, which ${precision} is not`);
  const make = { u8: Uint8Array, f16: Uint16Array, f32: Float32Array }[precision];
  const list = columns.list<Codes>("weights", make);
  checkWeights(columns, "weights", list.values);
  return { precision, list };
}

export function decodeWeights(precision: Precision, codes: Codes): Float32Array {
  if (precision === "u8") return fromRoot(codes as Uint8Array);
  if (precision === "f16") return fromHalf(codes as Uint16Array);
  return codes as Float32Array;
}

/** The weight of each code, to decode one at a time; null where codes are weights. */
export function weightTable(precision: Precision): Float32Array | null {
  return precision === "u8" ? ROOT_TABLE : precision === "f16" ? halfTable() : null;
}

/** Heads of one layer: none twice, all of one shape. */
export function layerShape(columns: Columns): { heads: Uint16Array; queries: number; keys: number } {
  const heads = columns.numbers("head", Uint16Array);
  const queries = columns.numbers("queries", Uint32Array);
  const keys = columns.numbers("keys", Uint32Array);
  if (new Set(heads).size !== heads.length) throw columns.fail("a head is there twice");
  if (queries.some((one) => one !== queries[0]) || keys.some((one) => one !== keys[0])) {
    throw columns.fail("heads of one layer differ in shape");
  }
  return { heads, queries: queries[0] ?? 0, keys: keys[0] ?? 0 };
}

/** Fails unless each list has the length that its row's shape says. */
export function checkLengths(
  columns: Columns,
  name: string,
  offsets: Uint32Array,
  wanted: (row: number) => number,
): void {
  for (let row = 0; row < columns.length; row++) {
    const length = offsets[row + 1]! - offsets[row]!;
    if (length !== wanted(row)) throw columns.fail(`${name} of row ${row} has ${length} items, not ${wanted(row)}`);
  }
}
