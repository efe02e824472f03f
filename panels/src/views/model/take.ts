// What can be taken away of the model view: metrics of all heads in the order on screen, and Python that gets them.
import type { Metric } from "../../decode/types";
import type { Drifts } from "../../session/drift";
import { rowOf, type Scene } from "../../session/scene";
import { opening, quoted, reading } from "../python";
import type { NumberTable } from "../view";
import type { Ranked } from "./order";

/** One row per head: the metrics that are defined, and how far it has moved where two sides are compared. */
export function headsTable(
  scene: Scene,
  input: number,
  kind: string,
  heads: readonly Ranked[],
  defined: readonly Metric[],
  drifts: Drifts | null,
): NumberTable {
  return {
    columns: ["layer", "head", ...(drifts ? ["drift"] : []), ...defined],
    count: heads.length,
    *rows() {
      for (const { layer, head } of heads) {
        const row = rowOf(scene, input, kind, layer, head);
        const moved = drifts ? [drifts.get(layer, head)?.drift ?? Number.NaN] : [];
        yield [layer, head, ...moved, ...defined.map((name) => scene.index.metrics[name][row]!)];
      }
    },
  };
}

export interface Asked {
  run: string;
  step: number;
  input: number;
  kind: string;
  defined: readonly Metric[];
  /** Null: by layer and head. */
  sort: Metric | null;
  least: number;
  /** Layers whose weights are stored, all of them or the greatest of each row. */
  layers: readonly number[];
  stored: "dense" | "sparse" | null;
  /** The query and the key axis with the segment that is kept of each; null: all tokens. */
  pair: { axes: [string, string]; segments: [number, number] } | null;
}

export interface AskedDifference {
  run: string;
  step: number;
  input: number;
  /** The other side; without a run of its own it is in the same. */
  other: { run: string | null; step: number; input: number };
  kind: string;
  /** Those of which both sides store all weights. */
  layers: readonly number[];
  pair: Asked["pair"];
}

/** Places of the tokens that a pair filter keeps of one step's input, as lines that set `queries` and `keys`. */
function pairLines(pair: NonNullable<Asked["pair"]>, step: string, input: number): string[] {
  const side = (n: 0 | 1): string =>
    `[i for i, one in enumerate(${step}.inputs[${input}].axes[${quoted(pair.axes[n])}].segments) if one == ${pair.segments[n]}]`;
  return [`queries = ${side(0)}`, `keys = ${side(1)}`];
}

/** Of texts that are the same on both sides: the difference, and how far each head has moved. */
export function differencePython({ run, step, input, other, kind, layers, pair }: AskedDifference): string {
  const kept = pair ? "[:, queries][:, :, keys]" : "";
  const side = (name: string, variable: string, at: number): string[] => [
    ...(pair ? pairLines(pair, variable, at) : []),
    `${name} = {layer: ${variable}.weights(${quoted(kind)}, layer)${kept} for layer in [${layers.join(", ")}]}`,
  ];
  return [
    ...opening({ run, other: other.run }),
    `a = ${reading("run", step, input)}`,
    `b = ${reading(other.run === null ? "run" : "other", other.step, other.input)}`,
    ...(layers.length > 0
      ? []
      : ["# No layer has all of its weights stored on both sides: see SparseWeights.row for those that are."]),
    ...side("before", "a", input),
    ...side("after", "b", other.input),
    "weights = {layer: after[layer] - before[layer] for layer in before}  # where tokens differ, select those that both have",
    "drift = {layer: attnlog.drift(before[layer], after[layer]) for layer in before}  # bits, one for each head",
    "",
  ].join("\n");
}

export function modelPython(asked: Asked): string {
  const { run, step, input, kind, defined, sort, least, layers, stored, pair } = asked;
  const order = sort ? `[(${quoted(sort)}, "descending")]` : '[("layer", "ascending"), ("head", "ascending")]';
  const columns = ["layer", "head", ...defined].map(quoted).join(", ");
  const where = `(pc.field("input") == ${input}) & (pc.field("kind") == ${quoted(kind)}) & (pc.field("call") == 0)`;
  const lines = [
    ...opening({ run }, ["import pyarrow.compute as pc"]),
    `step = ${reading("run", step, input)}`,
    `heads = step.index().filter(${where}).sort_by(${order}).select([${columns}])`,
  ];
  if (sort && least > 0) lines.push(`strong = heads.filter(pc.field(${quoted(sort)}) >= ${least})`);
  if (stored) {
    const kept = stored === "dense" ? "float32 [heads, queries, keys]" : "the greatest of each row: SparseWeights";
    lines.push(
      `weights = {layer: step.weights(${quoted(kind)}, layer) for layer in [${layers.join(", ")}]}  # ${kept}`,
    );
  }
  if (stored === "dense" && pair) {
    lines.push(...pairLines(pair, "step", input));
    lines.push("weights = {layer: found[:, queries][:, :, keys] for layer, found in weights.items()}");
  }
  return `${lines.join("\n")}\n`;
}
