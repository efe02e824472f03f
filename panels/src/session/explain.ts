// How far q·k explains the weights of one query row: scores, their softmax under the mask, and what remains as bias.
import type { KeyVectors, QueryVectors } from "../decode/types";
import type { HeadRows } from "./weights";

/** Where the index says q·k alone is off by more than this, the difference is shown as bias. */
export const BIAS_FROM = 5e-3;

export interface Explained {
  /** scale · q·k for each key. */
  qk: Float32Array;
  /** True where the key takes part. */
  open: boolean[];
  /** softmax of the scores (with the bias where one is shown); null where it cannot be told. */
  softmax: Float32Array | null;
  /** log w − log softmax(scale · q·k); null when q·k alone explains the weights. NaN at masked keys. */
  bias: Float32Array | null;
  /** Where only some weights are stored: those, NaN for the others. Null where all are. */
  stored: Float32Array | null;
}

/** Which keys a query may see. With no rule recorded, a key of weight 0 is taken as masked. */
export function openKeys(query: QueryVectors, i: number, keys: number, weights: Float32Array | null): boolean[] {
  return Array.from({ length: keys }, (_, j) => {
    if (query.causal === null) {
      if (weights && weights[j] === 0) return false;
    } else if (query.causal && j > i) return false;
    return query.window === null || Math.abs(i - j) < query.window;
  });
}

export function scores(query: QueryVectors, keys: KeyVectors, i: number): Float32Array {
  const { width } = query;
  const result = new Float32Array(keys.tokens);
  for (let j = 0; j < keys.tokens; j++) {
    let sum = 0;
    for (let d = 0; d < width; d++) sum += query.values[i * width + d]! * keys.values[j * width + d]!;
    result[j] = sum * query.scale;
  }
  return result;
}

/** Softmax over the open keys; a sink takes part in the sum and is not a key. */
export function softmax(logits: ArrayLike<number>, open: boolean[], sink: number | null): Float32Array {
  let most = sink ?? Number.NEGATIVE_INFINITY;
  for (let j = 0; j < logits.length; j++) if (open[j] && logits[j]! > most) most = logits[j]!;
  const result = new Float32Array(logits.length);
  if (most === Number.NEGATIVE_INFINITY) return result;
  let sum = sink === null ? 0 : Math.exp(sink - most);
  for (let j = 0; j < logits.length; j++) {
    if (!open[j]) continue;
    result[j] = Math.exp(logits[j]! - most);
    sum += result[j]!;
  }
  for (let j = 0; j < logits.length; j++) result[j] = result[j]! / sum;
  return result;
}

/**
 * One query row of which only some weights are stored. What is not stored is neither 0 nor masked: the softmax is given only
 * where q·k alone makes the weights, under a mask that is known; else the bias of the keys that are stored.
 */
export function explainSparse(
  query: QueryVectors,
  keys: KeyVectors,
  i: number,
  rows: HeadRows,
  unexplained: number | null,
): Explained {
  const stored = new Float32Array(keys.tokens).fill(Number.NaN);
  rows.row(i, 0, keys.tokens, 0, (key, weight) => {
    stored[key] = weight;
  });
  const qk = scores(query, keys, i);
  const open = openKeys(query, i, keys.tokens, null);
  if (query.causal === null) return { qk, open, softmax: null, bias: null, stored };
  const plain = softmax(qk, open, query.sink);
  if (unexplained === null || !(unexplained > BIAS_FROM)) return { qk, open, softmax: plain, bias: null, stored };
  const bias = stored.map((weight, j) => Math.log(weight) - Math.log(plain[j]!));
  return { qk, open, softmax: null, bias, stored };
}

/**
 * One query row. `weights` are those recorded for it; `unexplained` is the index's `explained` column for the head:
 * the greatest difference between the weights and softmax(scale · q·k).
 */
export function explain(
  query: QueryVectors,
  keys: KeyVectors,
  i: number,
  weights: Float32Array | null,
  unexplained: number | null,
): Explained {
  const qk = scores(query, keys, i);
  const open = openKeys(query, i, keys.tokens, weights);
  const plain = softmax(qk, open, query.sink);
  if (!weights || unexplained === null || !(unexplained > BIAS_FROM))
    return { qk, open, softmax: plain, bias: null, stored: null };
  const bias = new Float32Array(qk.length);
  const total = new Float32Array(qk.length);
  for (let j = 0; j < qk.length; j++) {
    if (!open[j]) bias[j] = Number.NaN;
    else bias[j] = Math.log(weights[j]!) - Math.log(plain[j]!);
    total[j] = qk[j]! + bias[j]!;
  }
  // Where the stored weight is 0 the bias is −∞: nothing of the sum, as recorded.
  const seen = open.map((one, j) => one && Number.isFinite(total[j]!));
  const withBias = softmax(total, seen, null);
  const mass = weights.reduce((sum, w) => sum + w, 0);
  // A sink outside the tokens leaves a row's sum below 1; the bias already holds it.
  if (mass < 1) for (let j = 0; j < withBias.length; j++) withBias[j] = withBias[j]! * mass;
  return { qk, open, softmax: withBias, bias, stored: null };
}
