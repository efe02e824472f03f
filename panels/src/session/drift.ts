// How far heads are from each other on two sides: the Jensen–Shannon divergence of their rows, and a small picture of B − A.
import type { WeightLayer } from "../decode/types";
import { NotRecordedError } from "../decode/errors";
import { keyAxis, queryAxis } from "./kinds";
import type { Compared } from "./other";
import type { Pair } from "./pair";
import { axisOf, findLayer, kindsOf, type Scene } from "./scene";
import type { Item } from "./shape/items";
import { Pool } from "./shape/pool";
import { type Part, Shaper } from "./shape/shape";
import type { Store } from "./store";
import type { HeadRows } from "./weights";

/** Cells of a small picture, each way. */
const PICTURE = 32;
/** Milliseconds of computing before the page gets its turn. */
const SLICE = 24;

export interface HeadDrift {
  layer: number;
  head: number;
  /** Bits, 0 … 1; NaN where the sides share no row. */
  drift: number;
  /** B − A, of cells that hold several values the greatest by size; NaN where nothing is known. */
  picture: { rows: number; columns: number; values: Float32Array };
  /** Weights are stored in part: the divergence is at least this. */
  atLeast: boolean;
}

/**
 * Jensen–Shannon divergence of two rows in bits, as Lin 1991 defines it with equal shares: both are made to sum to 1 over the
 * keys that both sides have. Of keys that one of both does not store the mass is taken together, which only lowers the result.
 */
export function divergence(
  a: readonly number[] | Float64Array,
  b: readonly number[] | Float64Array,
  rest: readonly [number, number] = [0, 0],
): number {
  let [sumA, sumB] = rest;
  for (let j = 0; j < a.length; j++) {
    sumA += a[j]!;
    sumB += b[j]!;
  }
  if (!(sumA > 0 && sumB > 0)) return Number.NaN;
  const half = (p: number, q: number): number => (p > 0 ? 0.5 * p * Math.log2((2 * p) / (p + q)) : 0);
  let sum = half(rest[0] / sumA, rest[1] / sumB) + half(rest[1] / sumB, rest[0] / sumA);
  for (let j = 0; j < a.length; j++) {
    const [p, q] = [a[j]! / sumA, b[j]! / sumB];
    sum += half(p, q) + half(q, p);
  }
  return Math.min(1, Math.max(0, sum));
}

/**
 * Mean over the rows that both sides have. `whole`: no key of either side is left out; where some are and weights are not all
 * stored, nobody knows how much of the mass that is not stored lies on the keys that are compared.
 */
function driftOf(a: HeadRows, b: HeadRows, queries: readonly Item[], keys: readonly Item[], whole: boolean): number {
  const shared = keys.map((one) => one.a !== null && one.b !== null);
  const [left, right] = [new Float64Array(keys.length), new Float64Array(keys.length)];
  let sum = 0;
  let count = 0;
  for (let i = 0; i < queries.length; i++) {
    if (!queries[i]!.a || !queries[i]!.b) continue;
    const rest: [number, number] = [a.leftOut(i), b.leftOut(i)];
    if (!whole && rest[0] + rest[1] > 0) continue;
    left.fill(Number.NaN);
    right.fill(Number.NaN);
    a.row(i, 0, keys.length, 0, (j, weight) => {
      if (shared[j]) left[j] = weight;
    });
    b.row(i, 0, keys.length, 0, (j, weight) => {
      if (shared[j]) right[j] = weight;
    });
    for (let j = 0; j < keys.length; j++) {
      if (!Number.isNaN(left[j]!) && !Number.isNaN(right[j]!)) continue;
      rest[0] += left[j] || 0;
      rest[1] += right[j] || 0;
      left[j] = right[j] = 0;
    }
    const found = divergence(left, right, rest);
    if (Number.isNaN(found)) continue;
    sum += found;
    count++;
  }
  return count > 0 ? sum / count : Number.NaN;
}

function picture(rows: HeadRows, queries: number, keys: number): HeadDrift["picture"] {
  const pool = new Pool(queries, keys, Math.min(PICTURE, queries), Math.min(PICTURE, keys));
  for (let i = 0; i < queries; i++) rows.row(i, 0, keys, 0, (j, weight) => pool.add(i, j, weight));
  return { rows: pool.rows, columns: pool.columns, values: pool.values };
}

/** Two sides of a kind of attention. */
export interface Sides {
  store: Store;
  scene: Scene;
  input: number;
  kind: string;
  pair: Pair;
  other: Compared;
}

/** Reads a kind layer by layer and tells of each head how far it is from the other side's. */
export class Drifts {
  readonly heads = new Map<string, HeadDrift>();
  /** Layers that could not be compared, with the reason. */
  readonly failed = new Map<number, unknown>();
  done = false;
  private closed = false;

  constructor(
    private readonly sides: Sides,
    /** Called when another layer is there. */
    private readonly changed: () => void,
  ) {}

  get(layer: number, head: number): HeadDrift | null {
    return this.heads.get(`${layer} ${head}`) ?? null;
  }

  async read(): Promise<void> {
    const { scene, input, kind } = this.sides;
    const layers = kindsOf(scene, input).find((one) => one.kind === kind)?.layers ?? [];
    for (const { layer } of layers) {
      try {
        await this.layer(layer);
      } catch (error) {
        this.failed.set(layer, error);
      }
      if (this.closed) return;
      this.changed();
    }
    this.done = true;
    this.changed();
  }

  close(): void {
    this.closed = true;
  }

  private async layer(number: number): Promise<void> {
    const { store, scene, input, kind, pair, other } = this.sides;
    const [here, there] = await Promise.all([
      weights(store, scene, input, kind, number),
      weights(other.store, other.scene, other.input, kind, number),
    ]);
    if (this.closed) return;
    if (!here || !there) {
      const { commit } = here ? other.scene : scene;
      throw new NotRecordedError(`weights of layer ${number} were not recorded at step ${commit.step}`);
    }
    const part = (from: Scene, of: number, layer: WeightLayer): Part => ({
      layer,
      queries: axisOf(from, of, queryAxis(kind)),
      keys: axisOf(from, of, keyAxis(kind)),
    });
    const heads = [...here.heads].filter((head) => there.heads.includes(head));
    const plain = { words: false, special: true, normalise: false, mean: false };
    const sides = [part(scene, input, here), part(other.scene, other.input, there)] as const;
    const shaper = new Shaper(...sides, { heads, pair, ...plain });
    const { queries, keys } = shaper;
    const shared = keys.length === here.keys && keys.length === there.keys && keys.every((one) => one.a && one.b);
    let since = performance.now();
    for (const head of heads) {
      const [p, q, r] = [shaper.rows(head, "a"), shaper.rows(head, "b"), shaper.rows(head, "diff")];
      if (!p || !q || !r) continue;
      this.heads.set(`${number} ${head}`, {
        layer: number,
        head,
        drift: driftOf(p, q, queries, keys, shared),
        picture: picture(r, queries.length, keys.length),
        atLeast: shaper.sparse,
      });
      shaper.forget(head);
      if (performance.now() - since < SLICE) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (this.closed) return;
      since = performance.now();
    }
  }
}

function weights(store: Store, scene: Scene, input: number, kind: string, layer: number): Promise<WeightLayer> | null {
  const entry = findLayer(scene, input, kind, layer);
  return entry && store.weights(scene, entry);
}
