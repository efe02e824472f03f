// One layer's weights: checks shape and precision, keeps the codes, and decodes a head when it is asked for.
import type { Columns } from "./arrow";
import type { AttentionLayer } from "./types";
import { checkLengths, decodeWeights, layerShape, weightCodes } from "./weights";

export function readAttention(columns: Columns): AttentionLayer {
  const shape = layerShape(columns);
  const { precision, list } = weightCodes(columns);
  checkLengths(columns, "weights", list.offsets, () => shape.queries * shape.keys);
  return { stored: "dense", ...shape, precision, codes: list.values };
}

/** Weights of one head, row-major queries × keys. Null when the layer has no such head. */
export function headWeights(layer: AttentionLayer, head: number): Float32Array | null {
  const row = layer.heads.indexOf(head);
  if (row < 0) return null;
  const size = layer.queries * layer.keys;
  return decodeWeights(layer.precision, layer.codes.subarray(row * size, (row + 1) * size));
}
