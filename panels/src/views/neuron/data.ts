// All that the neuron view draws of one input: for one head and one query token, how q and k make the weights.
import type { KeyVectors, QueryVectors, VectorLayer, WeightLayer } from "../../decode/types";
import { chosenToken, explainedHead } from "../../session/chosen";
import { type Explained, explain, explainSparse } from "../../session/explain";
import { keyAxis, queryAxis } from "../../session/kinds";
import { axisOf, rowOf, type Scene } from "../../session/scene";
import type { State } from "../../session/state";
import { headRows } from "../../session/weights";
import { type Names, namesOf } from "../tokens/names";
import { byContribution, byWeight, strongestKey } from "./sorting";
import { type Mixed, mixed } from "./values";

export interface NeuronData {
  input: number;
  head: number;
  group: number;
  /** Query heads that read the same keys, this one among them. */
  shared: number[];
  i: number;
  query: QueryVectors;
  keys: KeyVectors;
  values: KeyVectors | null;
  queryNames: Names;
  keyNames: Names;
  explained: Explained;
  /** What the index says q·k alone is off by; NaN: nothing. */
  unexplained: number;
  /** Weights as recorded, NaN where they are not known; where none were recorded what q·k gives. Null: nobody knows. */
  weights: Float32Array | null;
  /** q × k × scale of every key, row-major. */
  product: Float32Array;
  mixed: Mixed | null;
  /** Keys in the order of their rows. */
  rows: number[];
  /** Neurons in the order of their columns; null: as stored. */
  neurons: number[] | null;
  strongest: number;
}

/** The vectors of the head that is explained; null where this layer has none. */
export function dataOf(
  scene: Scene,
  state: State,
  input: number,
  token: number | null,
  vectors: VectorLayer,
  weights: WeightLayer | null,
): NeuronData | null {
  const wanted = explainedHead(state, scene);
  const query = vectors.q.find((one) => one.head === wanted) ?? vectors.q[0];
  if (!query) return null;
  const { head } = query;
  const groupOf = (one: number): number => {
    const row = rowOf(scene, input, state.kind, state.layer, one);
    return row >= 0 ? scene.index.group[row]! : one;
  };
  const group = groupOf(head);
  const keys = vectors.k.find((one) => one.head === group);
  if (!keys) return null;
  const i = chosenToken(token, query.tokens, axisOf(scene, input, queryAxis(state.kind)));
  const row = rowOf(scene, input, state.kind, state.layer, head);
  const unexplained = row >= 0 ? scene.index.explained[row]! : Number.NaN;
  const off = Number.isNaN(unexplained) ? null : unexplained;
  const rows = weights && headRows(weights, head);
  const all = rows?.arrays();
  const recorded = all instanceof Float32Array ? all.subarray(i * keys.tokens, (i + 1) * keys.tokens) : null;
  const explained =
    rows && weights?.stored === "sparse"
      ? explainSparse(query, keys, i, rows, off)
      : explain(query, keys, i, recorded, off);
  const known = recorded ?? explained.stored ?? explained.softmax;
  const own = query.values.subarray(i * query.width, (i + 1) * query.width);
  const strongest = strongestKey(known, explained.qk, explained.open);
  const values = vectors.v.find((one) => one.head === group) ?? null;
  const sorted = state.options["neuron.sort"] === "contribution" && strongest >= 0;
  return {
    input,
    head,
    group,
    shared: vectors.q.map((one) => one.head).filter((one) => groupOf(one) === group),
    i,
    query,
    keys,
    values,
    queryNames: namesOf(scene, input, queryAxis(state.kind), query.tokens),
    keyNames: namesOf(scene, input, keyAxis(state.kind), keys.tokens),
    explained,
    unexplained,
    weights: known,
    product: products(own, keys, query.scale),
    mixed: values && known && mixed(known, values.values, values.width),
    rows:
      state.options["neuron.keys"] === "weight"
        ? byWeight(known, explained.qk, explained.open)
        : explained.open.map((_, j) => j),
    neurons: sorted
      ? byContribution(own, keys.values.subarray(strongest * keys.width, (strongest + 1) * keys.width))
      : null,
    strongest,
  };
}

function products(query: Float32Array, keys: KeyVectors, scale: number): Float32Array {
  const { width } = keys;
  return keys.values.map((value, at) => query[at % width]! * value * scale);
}

/** What has to be known to read the table, in words. */
export function wordsOf(data: NeuronData, vectors: VectorLayer): string {
  const { head, group, shared, query, explained, unexplained, mixed: mix } = data;
  const others = shared.filter((one) => one !== head);
  const grouped = vectors.q.length !== vectors.k.length;
  return [
    grouped
      ? `Query head ${head} reads key group ${group}${others.length > 0 ? `, and so ${others.length > 1 ? "do heads" : "does head"} ${others.join(", ")}` : ""}.`
      : "",
    explained.stored ? "Of the weights only the greatest of each row are stored." : "",
    explained.stored && !explained.softmax && !explained.bias
      ? "Which keys are masked is not recorded, so that their softmax cannot be told."
      : "",
    vectors.precision === "i8" ? "q, k and v are stored as 8-bit numbers with one scale per token." : "",
    query.rotary ? "q and k carry their rotary position." : "",
    explained.bias
      ? `q·k alone is off by up to ${unexplained.toFixed(3)}; bias is the rest: log w − log softmax(q·k)${query.softcap ? `, soft-cap ${query.softcap} included` : ""}.`
      : "",
    query.sink !== null ? "An attention sink outside the tokens takes part of the sum." : "",
    query.window !== null ? `Keys ${query.window} or more tokens away are masked.` : "",
    mix && !mix.known ? "The sum of weight × v is over the keys whose weights are stored." : "",
  ]
    .filter(Boolean)
    .join(" ");
}
