// What the user looks at, as plain data, and how it is brought back into what a step holds.
import { METRICS, type Metric } from "../decode/types";
import type { Pair } from "./pair";
import { findLayer, kindsOf, type Scene } from "./scene";

/** What A is compared with: A's own run, step and input, but for what is named here. */
export interface Other {
  run: string | null;
  step: number | null;
  input: number | null;
}

/** Which of the two is drawn, or their difference B − A. */
export type Side = "a" | "b" | "diff";

/** Choices of single views, by `view.name`; what is not there is as the view has it by itself. */
export type Options = Readonly<Record<string, string>>;

export interface State {
  view: string;
  /** Null until manifests are read: the newest step then. */
  step: number | null;
  input: number;
  kind: string;
  layer: number;
  /** Chosen heads; null: all of the layer. */
  heads: number[] | null;
  /** The query token of the neuron view; null: the last that is no special token. */
  query: number | null;
  pair: Pair;
  /** The timeline's metric; null: induction where there is any, else entropy. */
  metric: Metric | null;
  /** Null: nothing is compared. */
  compare: Other | null;
  side: Side;
  options: Options;
}

export const START: State = {
  view: "head",
  step: null,
  input: 0,
  kind: "self",
  layer: 0,
  heads: null,
  query: null,
  pair: "all",
  metric: null,
  compare: null,
  side: "diff",
  options: {},
};

/** The nearest state that this step can show. */
export function settle(state: State, scene: Scene): State {
  const input = scene.numbers.includes(state.input) ? state.input : (scene.numbers[0] ?? 0);
  const kinds = kindsOf(scene, input);
  const kind = kinds.find((one) => one.kind === state.kind) ?? kinds[0];
  if (!kind) return { ...state, input };
  const layers = kind.layers.map((one) => one.layer);
  const layer = layers.includes(state.layer) ? state.layer : nearest(layers, state.layer);
  const entry = findLayer(scene, input, kind.kind, layer);
  const known = entry?.heads ?? [];
  const kept = [...new Set(state.heads ?? [])].filter((head) => known.includes(head)).sort((a, b) => a - b);
  const heads = kept.length > 0 && kept.length < known.length ? kept : null;
  const query = state.query !== null && state.query < (entry?.queries ?? 0) ? state.query : null;
  const metric = state.metric && METRICS.includes(state.metric) ? state.metric : null;
  return { ...state, input, kind: kind.kind, layer, heads, query, metric };
}

function nearest(numbers: number[], wanted: number): number {
  return numbers.reduce(
    (best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best),
    numbers[0] ?? 0,
  );
}

/** The chosen heads as numbers. */
export function chosenHeads(state: State, scene: Scene): number[] {
  return state.heads ?? findLayer(scene, state.input, state.kind, state.layer)?.heads ?? [];
}

/** The head that the neuron view explains: the first chosen. */
export function firstHead(state: State, scene: Scene): number {
  return chosenHeads(state, scene)[0] ?? 0;
}
