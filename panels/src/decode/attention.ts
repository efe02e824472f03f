// One layer's weights: checks shape and precision, keeps the codes, and decodes a head when it is asked for.
import type { Columns } from "./arrow";
import { fromHalf, fromRoot } from "./half";
import type { AttentionLayer, Precision } from "./types";

const ITEMS = { u8: "uint8", f16: "float16", f32: "float32" } as const;

export function readAttention(columns: Columns): AttentionLayer {
  const precision = columns.precision as Precision | null;
  if (precision !== "u8" && precision !== "f16" && precision !== "f32") {
    throw columns.fail(`attnlog.precision is ${JSON.stringify(precision)}, not u8, f16 or f32`);
  }
  const item = columns.listItem("weights");
  if (item !== ITEMS[precision]) throw columns.fail(`weights are ${item}, which ${precision} is not`);
  const make = { u8: Uint8Array, f16: Uint16Array, f32: Float32Array }[precision];
  const { offsets, values } = columns.list<Uint8Array | Uint16Array | Float32Array>("weights", item, make);
  const queries = columns.numbers("queries", "uint32", Uint32Array);
  const keys = columns.numbers("keys", "uint32", Uint32Array);
  const heads = columns.numbers("head", "uint16", Uint16Array);
  for (let row = 0; row < columns.length; row++) {
    const length = offsets[row + 1]! - offsets[row]!;
    if (length !== queries[row]! * keys[row]!) {
      throw columns.fail(`head ${heads[row]} has ${length} weights, not ${queries[row]} × ${keys[row]}`);
    }
    if (queries[row] !== queries[0] || keys[row] !== keys[0]) throw columns.fail("heads of one layer differ in shape");
  }
  return { heads, queries: queries[0] ?? 0, keys: keys[0] ?? 0, precision, codes: values };
}

/** Weights of one head, row-major queries × keys. Null when the layer has no such head. */
export function headWeights(layer: AttentionLayer, head: number): Float32Array | null {
  const row = layer.heads.indexOf(head);
  if (row < 0) return null;
  const size = layer.queries * layer.keys;
  const codes = layer.codes.subarray(row * size, (row + 1) * size);
  if (layer.precision === "u8") return fromRoot(codes as Uint8Array);
  if (layer.precision === "f16") return fromHalf(codes as Uint16Array);
  return codes as Float32Array;
}
