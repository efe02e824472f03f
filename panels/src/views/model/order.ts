// The order of heads in the grid: by layer and head, or ranked by a metric, with those below a threshold told apart.
import type { Metric } from "../../decode/types";
import type { KindEntry, Scene } from "../../session/scene";
import type { State } from "../../session/state";

export const SORT = "model.sort";
export const LEAST = "model.least";

export interface Place {
  layer: number;
  head: number;
}

export interface Ranked extends Place {
  /** NaN where the metric is not defined. */
  value: number;
  /** The value is a lower bound. */
  atLeast?: boolean;
}

/** What heads can be ranked by: a metric, or how far they have moved where two sides are compared. */
export type Ranking = Metric | "drift";

/** What heads are ranked by; null: they stand by layer and head. */
export function sortOf(state: State, defined: readonly Ranking[]): Ranking | null {
  return defined.find((name) => name === state.options[SORT]) ?? null;
}

/** The threshold; 0 where none is set, or what is set is no number above it. */
export function leastOf(state: State): number {
  const value = Number(state.options[LEAST] ?? 0);
  return Number.isFinite(value) && value > 0 ? value : 0;
}

/** All heads of a kind, the greatest value first; equals by layer and head, and those without a value last. */
export function rank(kind: KindEntry, scene: Scene, metric: Metric): Ranked[] {
  const values = scene.index.metrics[metric];
  const rank = (value: number): number => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value);
  return kind.layers
    .flatMap(({ layer, heads, rows }) => heads.map((head, i) => ({ layer, head, value: values[rows[i]!]! })))
    .sort((a, b) => rank(b.value) - rank(a.value) || 0);
}

/** Those that reach the threshold. */
export const reaching = (heads: readonly Ranked[], least: number): Ranked[] =>
  least > 0 ? heads.filter((one) => one.value >= least) : [...heads];

/**
 * What choosing a head together with others does to the state: it is added, or taken out again. Heads are chosen within one
 * layer: another layer begins anew, and so does the first that is picked out of all. Without the last, all are there again.
 */
export function toggled(state: State, place: Place): Pick<State, "layer" | "heads"> {
  if (place.layer !== state.layer || state.heads === null) return { layer: place.layer, heads: [place.head] };
  const kept = state.heads.filter((one) => one !== place.head);
  if (kept.length === state.heads.length) kept.push(place.head);
  return { layer: state.layer, heads: kept.length > 0 ? kept.sort((a, b) => a - b) : null };
}
