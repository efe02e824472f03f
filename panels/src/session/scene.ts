// What one step holds, found from its index and inputs: kinds, layers, heads, tokens; views ask it instead of scanning tables.
import { AssetSchemaError } from "../decode/errors";
import type { PlaceName } from "../decode/indexes";
import type { Place } from "../decode/place";
import {
  type AxisTokens,
  type BatchPart,
  type Commit,
  type IndexTable,
  type InputRecord,
  METRICS,
  type Metric,
} from "../decode/types";
import { compareKinds, keyAxis, queryAxis } from "./kinds";

export interface LayerEntry {
  input: number;
  kind: string;
  layer: number;
  heads: number[];
  queries: number;
  keys: number;
  calls: number;
  /** Row in the index of each head, in the order of `heads`. */
  rows: number[];
}

export interface KindEntry {
  kind: string;
  layers: LayerEntry[];
}

export interface Scene {
  commit: Commit;
  inputs: InputRecord[];
  index: IndexTable;
  /** Numbers of the inputs that have attention at this step; where none has, of all. */
  numbers: number[];
}

export function makeScene(commit: Commit, inputs: InputRecord[], index: IndexTable): Scene {
  checkTokens(commit, inputs, index);
  const present = new Set(index.input);
  const numbers = inputs.map((one) => one.input).filter((number) => present.has(number));
  return { commit, inputs, index, numbers: numbers.length ? numbers : inputs.map((one) => one.input) };
}

/** An index that counts other tokens than its inputs have would have views name tokens that are not there. */
function checkTokens(commit: Commit, inputs: InputRecord[], index: IndexTable): void {
  const counts = new Map<string, number>();
  for (const { input, axes } of inputs)
    for (const { axis, tokens } of axes) counts.set(`${input} ${axis}`, tokens.length);
  for (let row = 0; row < index.length; row++) {
    const kind = index.kinds[index.kind[row]!]!;
    const queries = counts.get(`${index.input[row]} ${queryAxis(kind)}`);
    const keys = counts.get(`${index.input[row]} ${keyAxis(kind)}`);
    if (index.queries[row] !== queries || index.keys[row] !== keys) {
      const said = `${index.queries[row]} × ${index.keys[row]}, where its inputs have ${queries ?? "no"} × ${keys ?? "no"} tokens`;
      throw new AssetSchemaError(
        `The index of step ${commit.step} says of ${kind} layer ${index.layer[row]} of input ${index.input[row]} ${said}`,
        "Copy the run again from where it was written.",
      );
    }
  }
}

const cache = new WeakMap<Scene, Map<number, KindEntry[]>>();

/** Kinds of one input, each with its layers in order; first call of each layer. */
export function kindsOf(scene: Scene, input: number): KindEntry[] {
  let perInput = cache.get(scene);
  if (!perInput) {
    perInput = new Map();
    cache.set(scene, perInput);
  }
  const known = perInput.get(input);
  if (known) return known;
  const { index } = scene;
  const kinds = new Map<string, Map<number, LayerEntry>>();
  for (let row = 0; row < index.length; row++) {
    if (index.input[row] !== input) continue;
    const kind = index.kinds[index.kind[row]!]!;
    let layers = kinds.get(kind);
    if (!layers) {
      layers = new Map();
      kinds.set(kind, layers);
    }
    const number = index.layer[row]!;
    let layer = layers.get(number);
    if (!layer) {
      const shape = { queries: index.queries[row]!, keys: index.keys[row]! };
      layer = { input, kind, layer: number, heads: [], rows: [], ...shape, calls: 1 };
      layers.set(number, layer);
    }
    if (index.call[row]! > 0) {
      layer.calls = Math.max(layer.calls, index.call[row]! + 1);
      continue;
    }
    layer.heads.push(index.head[row]!);
    layer.rows.push(row);
  }
  const list = [...kinds]
    .map(([kind, layers]) => ({ kind, layers: [...layers.values()].sort((a, b) => a.layer - b.layer) }))
    .sort((a, b) => compareKinds(a.kind, b.kind));
  for (const { layers } of list) for (const layer of layers) sortHeads(layer);
  perInput.set(input, list);
  return list;
}

function sortHeads(layer: LayerEntry): void {
  const order = layer.heads.map((_, i) => i).sort((a, b) => layer.heads[a]! - layer.heads[b]!);
  layer.rows = order.map((i) => layer.rows[i]!);
  layer.heads = order.map((i) => layer.heads[i]!);
}

export function findLayer(scene: Scene, input: number, kind: string, layer: number): LayerEntry | null {
  const entry = kindsOf(scene, input).find((one) => one.kind === kind);
  return entry?.layers.find((one) => one.layer === layer) ?? null;
}

export function rowOf(scene: Scene, input: number, kind: string, layer: number, head: number): number {
  const entry = findLayer(scene, input, kind, layer);
  return entry ? (entry.rows[entry.heads.indexOf(head)] ?? -1) : -1;
}

/** Where a layer's batch lies, and what must be found there; null when it was not written. */
export function partOf(scene: Scene, what: PlaceName, entry: LayerEntry): { part: BatchPart; place: Place } | null {
  const { index } = scene;
  const at = entry.rows.map((row) => index[what][row]!).find((one) => one >= 0);
  const part = at === undefined ? null : index.parts[at];
  if (!part) return null;
  const rows = entry.rows.filter((row) => index[what][row] === at);
  const { input, kind, layer, queries, keys } = entry;
  const heads = rows.map((row) => index.head[row]!);
  const groups = rows.map((row) => index.group[row]!);
  return { part, place: { input, kind, layer, call: 0, heads, groups, queries, keys } };
}

export function axisOf(scene: Scene, input: number, axis: string): AxisTokens | null {
  const record = scene.inputs.find((one) => one.input === input);
  return record?.axes.find((one) => one.axis === axis) ?? null;
}

/** Tokens of an axis, made up as positions where the inputs asset has none or too few of them. */
export function tokensOf(scene: Scene, input: number, axis: string, length: number): string[] {
  const names = axisOf(scene, input, axis)?.tokens ?? [];
  return Array.from({ length }, (_, i) => names[i] ?? String(i));
}

/** What the positions of an axis are, where tokens say it in short or have no text. */
export function labelsOf(scene: Scene, input: number, axis: string): string[] | null {
  return axisOf(scene, input, axis)?.labels ?? null;
}

/** Metrics of one head that are not null. */
export function metricsOf(scene: Scene, row: number): [Metric, number][] {
  return METRICS.map((name): [Metric, number] => [name, scene.index.metrics[name][row] ?? Number.NaN]).filter(
    ([, value]) => !Number.isNaN(value),
  );
}
