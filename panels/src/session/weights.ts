// The weights of one head, row by row: all of them, or where a layer is stored sparse those that were kept.
import { headWeights } from "../decode/attention";
import type { AttentionLayer, SparseLayer, WeightLayer } from "../decode/types";
import { weightTable } from "../decode/weights";

export interface HeadRows {
  readonly head: number;
  /** Weight of a query on a key; null where it was not stored, which is not 0. */
  at(query: number, key: number): number | null;
  /** Stored weights of a query row of at least `least`, for keys from `from` to before `to`, in order. */
  row(query: number, from: number, to: number, least: number, visit: (key: number, weight: number) => void): void;
  /** How many keys of a row are stored. */
  stored(query: number): number;
  /** Mass of a row on keys that are not stored. */
  leftOut(query: number): number;
  /** The arrays that are drawn, for tests and hosts. */
  arrays(): Float32Array | KeptArrays;
}

export interface KeptArrays {
  counts: number[];
  indices: Uint32Array;
  weights: Float32Array;
  leftOut: Float32Array;
}

/** Rows of one head; null when the layer has no such head. */
export function headRows(layer: WeightLayer, head: number): HeadRows | null {
  if (!layer.heads.includes(head)) return null;
  return layer.stored === "dense" ? new DenseHead(layer, head) : new SparseHead(layer, head);
}

class DenseHead implements HeadRows {
  private readonly weights: Float32Array;

  constructor(
    private readonly layer: AttentionLayer,
    readonly head: number,
  ) {
    this.weights = headWeights(layer, head)!;
  }

  at(query: number, key: number): number {
    return this.weights[query * this.layer.keys + key]!;
  }

  row(query: number, from: number, to: number, least: number, visit: (key: number, weight: number) => void): void {
    const base = query * this.layer.keys;
    for (let key = from; key < to; key++) {
      const weight = this.weights[base + key]!;
      if (weight >= least) visit(key, weight);
    }
  }

  stored(): number {
    return this.layer.keys;
  }

  leftOut(): number {
    return 0;
  }

  arrays(): Float32Array {
    return this.weights;
  }
}

class SparseHead implements HeadRows {
  private readonly first: number;
  private readonly table: Float32Array | null;

  constructor(
    private readonly layer: SparseLayer,
    readonly head: number,
  ) {
    this.first = layer.heads.indexOf(head) * layer.queries;
    this.table = weightTable(layer.precision);
  }

  private weight(item: number): number {
    const code = this.layer.codes[item]!;
    return this.table ? this.table[code]! : code;
  }

  /** The first item of a row whose key is not below `key`. */
  private find(query: number, key: number): number {
    const { starts, indices } = this.layer;
    let low = starts[this.first + query]!;
    let high = starts[this.first + query + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (indices[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(query: number, key: number): number | null {
    const item = this.find(query, key);
    const end = this.layer.starts[this.first + query + 1]!;
    return item < end && this.layer.indices[item] === key ? this.weight(item) : null;
  }

  row(query: number, from: number, to: number, least: number, visit: (key: number, weight: number) => void): void {
    const { starts, indices } = this.layer;
    const end = starts[this.first + query + 1]!;
    for (let item = this.find(query, from); item < end && indices[item]! < to; item++) {
      const weight = this.weight(item);
      if (weight >= least) visit(indices[item]!, weight);
    }
  }

  stored(query: number): number {
    return this.layer.starts[this.first + query + 1]! - this.layer.starts[this.first + query]!;
  }

  leftOut(query: number): number {
    return this.layer.leftOut[this.first + query]!;
  }

  arrays(): KeptArrays {
    const { starts, indices, leftOut, queries } = this.layer;
    const from = starts[this.first]!;
    const end = starts[this.first + queries]!;
    return {
      counts: Array.from({ length: queries }, (_, query) => this.stored(query)),
      indices: indices.slice(from, end),
      weights: Float32Array.from({ length: end - from }, (_, i) => this.weight(from + i)),
      leftOut: leftOut.slice(this.first, this.first + queries),
    };
  }
}

/** Mean over all rows of these heads of the mass that is not stored. */
export function meanLeftOut({ queries, heads }: { queries: readonly unknown[]; heads: readonly HeadRows[] }): number {
  let sum = 0;
  for (const head of heads) for (let query = 0; query < queries.length; query++) sum += head.leftOut(query);
  return sum / Math.max(1, heads.length * queries.length);
}
