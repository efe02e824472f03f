// What the index says of one layer, and whether a batch that was read by its place is that layer.
import type { Columns } from "./arrow";
import type { HiddenLayer, StatePlace, VectorLayer, WeightLayer } from "./types";

/** One layer as the index has it; heads and groups in the same order. */
export interface Place {
  input: number;
  kind: string;
  layer: number;
  call: number;
  heads: number[];
  groups: number[];
  queries: number;
  keys: number;
}

const same = (a: Iterable<number>, b: Iterable<number>): boolean => {
  const wanted = new Set(b);
  const found = new Set(a);
  return found.size === wanted.size && [...found].every((one) => wanted.has(one));
};

/** Fails unless the batch is of this input, kind, layer and call, with the heads and the shape that the index gives it. */
export function checkPlace(columns: Columns, layer: WeightLayer | VectorLayer, place: Place): void {
  for (const name of ["input", "layer", "call"] as const) {
    const wrong = columns.numbers(name, Uint16Array).find((one) => one !== place[name]);
    if (wrong !== undefined) throw columns.fail(`the index says ${name} ${place[name]}, the batch ${wrong}`);
  }
  if (columns.coded("kind").names.some((one) => one !== place.kind)) throw columns.fail("the batch is of another kind");
  const { heads, groups, queries, keys } = place;
  const shapes: [number, number][] =
    "stored" in layer
      ? [
          [layer.queries, queries],
          [layer.keys, keys],
        ]
      : [
          ...layer.q.map((one): [number, number] => [one.tokens, queries]),
          ...[...layer.k, ...layer.v].map((one): [number, number] => [one.tokens, keys]),
        ];
  const found = "stored" in layer ? layer.heads : layer.q.map((one) => one.head);
  if (!same(found, heads)) throw columns.fail("heads are not those of the index");
  if (!("stored" in layer)) {
    const numbers = [layer.k, ...(layer.v.length > 0 ? [layer.v] : [])].map((part) => part.map((one) => one.head));
    if (!numbers.every((part) => same(part, groups))) throw columns.fail("key groups are not those of the index");
  }
  if (shapes.some(([is, should]) => is !== should)) throw columns.fail("the shape is not that of the index");
}

/** Fails where a whole asset holds a head twice, in one of its batches or in two. */
export function checkOnce(columns: Columns): void {
  const numbers = ["input", "layer", "call", "head"].map((name) => columns.numbers(name, Uint16Array));
  const texts = ["kind", ...(columns.has("role") ? ["role"] : [])].map((name) => columns.coded(name).codes);
  const known = new Set<string>();
  for (let row = 0; row < columns.length; row++) {
    const key = [...numbers, ...texts].map((one) => one[row]).join(" ");
    if (known.has(key)) throw columns.fail(`row ${row} holds a head that is there already`);
    known.add(key);
  }
}

/** Fails unless the batch is the one layer of hidden states that the statistics name. */
export function checkStatePlace(columns: Columns, layers: HiddenLayer[], place: StatePlace): void {
  const [one] = layers;
  const names = ["input", "axis", "layer", "tokens", "width"] as const;
  if (layers.length !== 1 || !one || names.some((name) => one[name] !== place[name])) {
    throw columns.fail(
      `holds other hidden states than those of ${place.axis} layer ${place.layer} of input ${place.input}`,
    );
  }
}
