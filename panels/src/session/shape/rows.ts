// Rows of weights between items: those of one head as stored, of chosen tokens, between words, means and differences.
import type { HeadRows, KeptArrays } from "../weights";
import type { Span } from "./items";

/** Weights that were computed for drawing: row-major, NaN where nothing is known. */
export class ComputedRows implements HeadRows {
  constructor(
    readonly head: number,
    private readonly keys: number,
    private readonly values: Float32Array,
    private readonly missing: Float32Array | null = null,
  ) {}

  at(query: number, key: number): number | null {
    const value = this.values[query * this.keys + key]!;
    return Number.isNaN(value) ? null : value;
  }

  row(query: number, from: number, to: number, least: number, visit: (key: number, weight: number) => void): void {
    const base = query * this.keys;
    for (let key = from; key < to; key++) {
      const value = this.values[base + key]!;
      if (Math.abs(value) >= least) visit(key, value);
    }
  }

  stored(query: number): number {
    let count = 0;
    this.row(query, 0, this.keys, 0, () => count++);
    return count;
  }

  leftOut(query: number): number {
    return this.missing?.[query] ?? 0;
  }

  arrays(): Float32Array {
    return this.values;
  }
}

/** Some queries and keys of a head of which only the greatest weights are stored. */
export class PickedRows implements HeadRows {
  readonly head: number;
  private readonly place: Int32Array;

  constructor(
    private readonly base: HeadRows,
    private readonly queries: readonly (Span | null)[],
    private readonly keys: readonly (Span | null)[],
    length: number,
  ) {
    this.head = base.head;
    this.place = new Int32Array(length).fill(-1);
    for (const [n, span] of keys.entries()) if (span) this.place[span.start] = n;
  }

  at(query: number, key: number): number | null {
    const [i, j] = [this.queries[query], this.keys[key]];
    return i && j ? this.base.at(i.start, j.start) : null;
  }

  row(query: number, from: number, to: number, least: number, visit: (key: number, weight: number) => void): void {
    const span = this.queries[query];
    if (!span) return;
    this.base.row(span.start, 0, this.place.length, least, (position, weight) => {
      const key = this.place[position]!;
      if (key >= from && key < to) visit(key, weight);
    });
  }

  stored(query: number): number {
    let count = 0;
    this.row(query, 0, this.keys.length, 0, () => count++);
    return count;
  }

  leftOut(query: number): number {
    const span = this.queries[query];
    return span ? this.base.leftOut(span.start) : 0;
  }

  arrays(): KeptArrays {
    const indices: number[] = [];
    const weights: number[] = [];
    const counts = this.queries.map((_, query) => {
      const before = indices.length;
      this.row(query, 0, this.keys.length, 0, (key, weight) => {
        indices.push(key);
        weights.push(weight);
      });
      return indices.length - before;
    });
    const leftOut = Float32Array.from(this.queries, (_, query) => this.leftOut(query));
    return { counts, indices: Uint32Array.from(indices), weights: Float32Array.from(weights), leftOut };
  }
}

/** B − A where each of both stores a weight; what one of them does not store is not known. */
export class DifferenceRows implements HeadRows {
  readonly head: number;

  constructor(
    private readonly a: HeadRows,
    private readonly b: HeadRows,
    private readonly queries: number,
    private readonly keys: number,
  ) {
    this.head = a.head;
  }

  at(query: number, key: number): number | null {
    const [before, after] = [this.a.at(query, key), this.b.at(query, key)];
    return before === null || after === null ? null : after - before;
  }

  row(query: number, from: number, to: number, least: number, visit: (key: number, weight: number) => void): void {
    this.b.row(query, from, to, 0, (key, after) => {
      const before = this.a.at(query, key);
      if (before !== null && Math.abs(after - before) >= least) visit(key, after - before);
    });
  }

  stored(query: number): number {
    let count = 0;
    this.row(query, 0, this.keys, 0, () => count++);
    return count;
  }

  leftOut(query: number): number {
    return Math.max(this.a.leftOut(query), this.b.leftOut(query));
  }

  arrays(): Float32Array {
    const values = new Float32Array(this.queries * this.keys).fill(Number.NaN);
    for (let query = 0; query < this.queries; query++)
      this.row(query, 0, this.keys, 0, (key, weight) => {
        values[query * this.keys + key] = weight;
      });
    return values;
  }
}

/**
 * Weights between items: the sum over the tokens of a key item, the mean over those of a query item, so that rows keep their
 * sum (Clark et al. 2019, section 4.1). NaN at items that this side has not.
 */
export function merged(
  weights: Float32Array,
  width: number,
  queries: readonly (Span | null)[],
  keys: readonly (Span | null)[],
): Float32Array {
  const result = new Float32Array(queries.length * keys.length);
  const row = new Float64Array(keys.length);
  for (const [i, query] of queries.entries()) {
    const at = i * keys.length;
    if (!query) {
      result.fill(Number.NaN, at, at + keys.length);
      continue;
    }
    row.fill(0);
    for (let q = query.start; q < query.end; q++) {
      for (let j = 0; j < keys.length; j++) {
        const key = keys[j];
        if (key) for (let k = key.start; k < key.end; k++) row[j] = row[j]! + weights[q * width + k]!;
      }
    }
    for (let j = 0; j < keys.length; j++) result[at + j] = keys[j] ? row[j]! / (query.end - query.start) : Number.NaN;
  }
  return result;
}

/** Each row divided by what it sums to over the items shown; a row of nothing stays as it is. */
export function normalised(values: Float32Array, keys: number): Float32Array {
  const result = Float32Array.from(values);
  for (let at = 0; at < values.length; at += keys) {
    let sum = 0;
    for (let j = at; j < at + keys; j++) if (!Number.isNaN(values[j]!)) sum += values[j]!;
    if (sum > 0) for (let j = at; j < at + keys; j++) result[j] = values[j]! / sum;
  }
  return result;
}

/** The mean of arrays of one shape; NaN where any of them is. */
export function mean(all: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(all[0]?.length ?? 0);
  for (let n = 0; n < result.length; n++) {
    let sum = 0;
    for (const values of all) sum += values[n]!;
    result[n] = sum / all.length;
  }
  return result;
}

export function difference(a: Float32Array, b: Float32Array): Float32Array {
  return b.map((value, n) => value - a[n]!);
}
