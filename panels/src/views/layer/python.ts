// Python that gets the array on screen from a run that has been opened, by the very steps that the viewer takes.
import type { Item, Span } from "../../session/shape/items";
import { isPlain } from "../../session/shape/items";
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

interface Side {
  name: string;
  run: string;
  step: number | null;
  input: number;
  heads: readonly number[];
  queries: (Span | null)[];
  keys: (Span | null)[];
  /** Tokens, or words, that the axes have before any are left out. */
  plain: { queries: boolean; keys: boolean };
}

function lines(side: Side, kind: string, layer: number, wanted: Wanted, words: boolean): string[] {
  const { name, run, step, input, heads, plain } = side;
  const asked = words ? ", words=True" : "";
  const list = [`${name} = ${reading(run, step, input)}.weights(${quoted(kind)}, ${layer}${asked})`];
  list.push(`${name} = ${name}[${indices(heads)}]  # heads ${wanted.heads.join(", ")}`);
  const places = (spans: (Span | null)[]): string => indices(spans.flatMap((one) => (one ? [one.start] : [])));
  if (!plain.queries) list.push(`${name} = ${name}[:, ${places(side.queries)}]`);
  if (!plain.keys) list.push(`${name} = ${name}[:, :, ${places(side.keys)}]`);
  return list;
}

/** Word spans counted in words, as the array between words counts them. */
function counted(items: readonly Item[], side: "a" | "b", order: ReadonlyMap<number, number> | null): (Span | null)[] {
  return items.map((one) => {
    const span = one[side];
    const at = span && order ? (order.get(span.start) ?? span.start) : span?.start;
    return at === undefined ? null : { start: at, end: at + 1 };
  });
}

export interface Words {
  /** First token of each word → the word's number. */
  queries: ReadonlyMap<number, number>;
  keys: ReadonlyMap<number, number>;
}

export function layerPython(
  shown: Shown,
  reader: LayerReader,
  shaped: Shaped,
  wanted: Wanted,
  words: { a: Words; b: Words | null } | null,
): string {
  const { state, other } = shown;
  const runs = runsOf(shown);
  const both = (items: readonly Item[]): Item[] => (other ? items.filter((one) => one.a && one.b) : [...items]);
  const [queries, keys] = [both(shaped.queries), both(shaped.keys)];
  const head = opening(runs);
  if (shaped.sparse) {
    const ask = `.weights(${quoted(state.kind)}, ${state.layer})  # SparseWeights: the greatest of each row`;
    return [...head, `weights = ${reading("run", state.step, state.input)}${ask}`].join("\n");
  }
  const sideOf = (side: "a" | "b", name: string): Side => {
    const layer = side === "a" ? reader.a! : reader.b!;
    const order = words?.[side] ?? null;
    const plain = (items: readonly Item[], length: number, counts: ReadonlyMap<number, number> | null): boolean =>
      counts
        ? items.length === counts.size
        : isPlain(
            items.map((one) => ({ ...one, a: one[side] })),
            length,
          );
    return {
      name,
      run: side === "b" && runs.other !== null ? "other" : "run",
      step: side === "b" && other ? other.scene.commit.step : state.step,
      input: side === "b" && other ? other.input : state.input,
      heads: wanted.heads.filter((one) => !shaped.absent.includes(one)).map((one) => layer.heads.indexOf(one)),
      queries: counted(queries, side, order?.queries ?? null),
      keys: counted(keys, side, order?.keys ?? null),
      plain: {
        queries: plain(queries, layer.queries, order?.queries ?? null),
        keys: plain(keys, layer.keys, order?.keys ?? null),
      },
    };
  };
  const names = other ? (["a", "b"] as const) : (["a"] as const);
  const body = names.flatMap((side) => {
    const name = other ? side : "weights";
    const list = lines(sideOf(side, name), state.kind, state.layer, wanted, words !== null);
    return wanted.normalise ? [...list, `${name} = ${name} / ${name}.sum(axis=-1, keepdims=True)`] : list;
  });
  if (other) body.push("weights = b - a  # of the tokens that are in both");
  if (wanted.mean) body.push("weights = weights.mean(axis=0)");
  return [...head, ...body].join("\n");
}
