// The weights of a layer as they are to be drawn: which tokens, words or tokens, normalised, the mean of heads, A, B or B − A.
import type { AxisTokens, WeightLayer } from "../../decode/types";
import type { Pair } from "../pair";
import { type HeadRows, headRows } from "../weights";
import { alignedItems, type Choices, type Item, isPlain, itemsOf } from "./items";
import { ComputedRows, DifferenceRows, difference, mean, merged, normalised, PickedRows } from "./rows";

/** The head number of a mean over heads. */
export const MEAN = -1;

/** One layer of one side. */
export interface Part {
  layer: WeightLayer;
  queries: AxisTokens | null;
  keys: AxisTokens | null;
}

export interface Wanted {
  heads: readonly number[];
  pair: Pair;
  words: boolean;
  special: boolean;
  normalise: boolean;
  mean: boolean;
}

export interface Shaped {
  queries: Item[];
  keys: Item[];
  heads: HeadRows[];
  /** Differences: values below 0 are there too. */
  signed: boolean;
  /** Some weights are not stored, on one side at least. */
  sparse: boolean;
  /** False where two texts were too different to be aligned but for their ends. */
  aligned: boolean;
  /** Heads of A that B has not. */
  absent: number[];
}

/** Why words, normalised rows and means cannot be had; null: they can. */
export function needsAll(parts: readonly (Part | null)[]): string | null {
  return parts.some((one) => one?.layer.stored === "sparse")
    ? "This needs every weight, and of this layer only the greatest of each row are stored."
    : null;
}

export class Shaper {
  readonly queries: Item[];
  readonly keys: Item[];
  readonly aligned: boolean;
  readonly sparse: boolean;
  private readonly made = new Map<string, HeadRows | null>();

  constructor(
    private readonly a: Part,
    private readonly b: Part | null,
    private readonly wanted: Wanted,
  ) {
    this.sparse = needsAll([a, b]) !== null;
    const items = (axis: "queries" | "keys"): { items: Item[]; whole: boolean } => {
      const choices = this.choices(axis);
      const side = (part: Part) => ({ axis: part[axis], length: part.layer[axis] });
      return b ? alignedItems(side(a), side(b), choices) : { items: itemsOf(side(a), choices), whole: true };
    };
    const queries = items("queries");
    const keys = items("keys");
    this.queries = queries.items;
    this.keys = keys.items;
    this.aligned = queries.whole && keys.whole;
  }

  private choices(axis: "queries" | "keys"): Choices {
    const { pair, special } = this.wanted;
    const letter = pair === "all" ? null : pair[axis === "queries" ? 0 : 1];
    return {
      words: this.wanted.words && !this.sparse,
      special,
      segment: letter === null ? null : Number(letter === "b"),
    };
  }

  shape(side: "a" | "b" | "diff"): Shaped {
    const { queries, keys, aligned, sparse } = this;
    const found = this.wanted.heads.map((head) => ({ head, rows: this.rows(head, side) }));
    const heads = found.flatMap((one) => (one.rows ? [one.rows] : []));
    const absent = found.filter((one) => !one.rows).map((one) => one.head);
    const signed = side === "diff";
    const whole = { queries, keys, signed, sparse, aligned, absent };
    if (!this.wanted.mean || sparse || heads.length === 0) return { ...whole, heads };
    const values = mean(heads.map((one) => one.arrays() as Float32Array));
    return { ...whole, heads: [new ComputedRows(MEAN, keys.length, values)] };
  }

  /** One head of a side, or its difference; null where that side has it not. */
  rows(head: number, side: "a" | "b" | "diff"): HeadRows | null {
    const key = `${head} ${side}`;
    const known = this.made.get(key);
    if (known !== undefined) return known;
    const made = side === "diff" ? this.difference(head) : this.one(head, side);
    this.made.set(key, made);
    return made;
  }

  private one(head: number, side: "a" | "b"): HeadRows | null {
    const part = side === "a" ? this.a : this.b;
    const stored = part && headRows(part.layer, head);
    if (!part || !stored) return null;
    const { normalise } = this.wanted;
    const plain = isPlain(this.queries, part.layer.queries, side) && isPlain(this.keys, part.layer.keys, side);
    if (plain && !(normalise && !this.sparse)) return stored;
    const queries = this.queries.map((item) => item[side]);
    const keys = this.keys.map((item) => item[side]);
    const all = stored.arrays();
    if (!(all instanceof Float32Array)) return new PickedRows(stored, queries, keys, part.layer.keys);
    const values = merged(all, part.layer.keys, queries, keys);
    return new ComputedRows(head, keys.length, normalise && !this.sparse ? normalised(values, keys.length) : values);
  }

  /** Forgets what was computed of a head: whoever goes through all of them does not keep them. */
  forget(head: number): void {
    for (const side of ["a", "b", "diff"]) this.made.delete(`${head} ${side}`);
  }

  private difference(head: number): HeadRows | null {
    const [a, b] = [this.rows(head, "a"), this.rows(head, "b")];
    if (!a || !b) return null;
    const [before, after] = [a.arrays(), b.arrays()];
    const { length } = this.keys;
    if (before instanceof Float32Array && after instanceof Float32Array)
      return new ComputedRows(head, length, difference(before, after));
    return new DifferenceRows(a, b, this.queries.length, length);
  }
}
