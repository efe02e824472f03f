// Python that gets the array on screen from a run that has been opened, by the very steps that the viewer takes.
import type { Item } from "../../session/shape/items";
import type { Shaped, Wanted } from "../../session/shape/shape";
import type { Shown } from "../view";
import { opening, quoted, reading, runsOf } from "../python";
import type { LayerReader } from "./reader";

/** Numbers as short Python: a range where they follow each other. */
function indices(numbers: readonly number[]): string {
  const first = numbers[0] ?? 0;
  const straight = numbers.length > 2 && numbers.every((one, n) => one === first + n);
  return straight ? `list(range(${first}, ${first + numbers.length}))` : `[${numbers.join(", ")}]`;
}

/** One side of what is drawn: which array is read, and what of it is kept. */
interface Side {
  /** The variable it is in. */
  name: string;
  read: string;
  /** Places of the heads in what is read. */
  heads: readonly number[];
  sparse: boolean;
  /** Places of the items of this side, null where all are kept. */
  queries: readonly number[] | null;
  keys: readonly number[] | null;
  /** Of those the ones that the other side has too; null: all. */
  shared: { queries: readonly number[]; keys: readonly number[] } | null;
}

function lines({ name, read, heads, sparse, queries, keys, shared }: Side, wanted: Wanted, words: boolean): string[] {
  const list = [`${name} = ${read}${words ? ", words=True)" : ")"}`];
  const said = `# heads ${wanted.heads.join(", ")}`;
  if (sparse) list.push(`${name} = np.stack([${name}.dense(n) for n in ${indices(heads)}])  ${said}; NaN: not stored`);
  else list.push(`${name} = ${name}[${indices(heads)}]  ${said}`);
  if (queries) list.push(`${name} = ${name}[:, ${indices(queries)}]`);
  if (keys) list.push(`${name} = ${name}[:, :, ${indices(keys)}]`);
  if (wanted.normalise) {
    list.push(`total = ${name}.sum(axis=-1, keepdims=True)`);
    list.push(`${name} = ${name} / (total + (total == 0))  # rows of nothing stay so`);
  }
  if (shared) list.push(`${name} = ${name}[:, ${indices(shared.queries)}][:, :, ${indices(shared.keys)}]`);
  return list;
}

export interface Words {
  /** First token of each word → the word's number. */
  queries: ReadonlyMap<number, number>;
  keys: ReadonlyMap<number, number>;
}

/** Where the items of a side are in what Python reads: tokens, or words counted as the array between words counts them. */
function places(items: readonly Item[], side: "a" | "b", words: ReadonlyMap<number, number> | null): number[] {
  return items.flatMap((one) => {
    const span = one[side];
    return span ? [words ? (words.get(span.start) ?? 0) : span.start] : [];
  });
}

export function layerPython(
  shown: Shown,
  reader: LayerReader,
  shaped: Shaped,
  asked: Wanted,
  words: { a: Words; b: Words | null } | null,
  least: number,
): string {
  const { state, other } = shown;
  const runs = runsOf(shown);
  // What needs every weight was not done where some are not stored.
  const wanted = shaped.sparse ? { ...asked, normalise: false, mean: false } : asked;
  const { queries, keys } = shaped;
  const heads = wanted.heads.filter((one) => !shaped.absent.includes(one));
  const sideOf = (side: "a" | "b", name: string): Side => {
    const layer = side === "a" ? reader.a! : reader.b!;
    const order = words?.[side] ?? null;
    const there = (items: readonly Item[]): Item[] => items.filter((one) => one[side]);
    const kept = (items: readonly Item[], length: number, counts: ReadonlyMap<number, number> | null) => {
      const found = places(items, side, counts);
      return found.length === (counts?.size ?? length) ? null : found;
    };
    const common = (items: readonly Item[]): number[] => there(items).flatMap((one, n) => (one.a && one.b ? [n] : []));
    const whole = !other || [...queries, ...keys].every((one) => one.a && one.b);
    const b = side === "b" && other;
    const at = b ? [other.scene.commit.step, other.input] : [state.step, state.input];
    const run = b && runs.other !== null ? "other" : "run";
    return {
      name,
      read: `${reading(run, at[0]!, at[1]!)}.weights(${quoted(state.kind)}, ${state.layer}`,
      heads: heads.map((one) => layer.heads.indexOf(one)),
      sparse: layer.stored === "sparse",
      queries: kept(queries, layer.queries, order?.queries ?? null),
      keys: kept(keys, layer.keys, order?.keys ?? null),
      shared: whole ? null : { queries: common(queries), keys: common(keys) },
    };
  };
  const body = other
    ? [...lines(sideOf("a", "a"), wanted, words !== null), ...lines(sideOf("b", "b"), wanted, words !== null)]
    : lines(sideOf("a", "weights"), wanted, words !== null);
  if (other) body.push("weights = b - a  # of the tokens that are in both");
  if (wanted.mean) body.push("weights = weights.mean(axis=0)");
  if (least > 0) body.push(`drawn = ${other ? "abs(weights)" : "weights"} >= ${least}  # what is below is hidden`);
  return [...opening(runs, shaped.sparse ? ["import numpy as np"] : []), ...body].join("\n");
}
