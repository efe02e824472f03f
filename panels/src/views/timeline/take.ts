// What can be taken away of a timeline: its numbers as a table, and Python that reads the same ones.
import { MEANING } from "../model/facts";
import type { Metric } from "../../decode/types";
import { opening, quoted } from "../python";
import type { NumberTable } from "../view";
import { LOSS, type Recorded } from "./beside";

/** Numbers of some heads by step. */
export interface HeadValues {
  name: string;
  steps: readonly number[];
  values: ArrayLike<number>;
}

/** One row per step: the heads, then what the trainer reported. */
export function stepTable(
  steps: readonly number[],
  heads: readonly HeadValues[],
  beside: readonly Recorded[],
): NumberTable {
  const columns = [...heads, ...beside].map((one) => new Map(one.steps.map((step, i) => [step, one.values[i]!])));
  return {
    columns: ["step", ...heads.map((one) => one.name), ...beside.map((one) => one.name)],
    count: steps.length,
    *rows() {
      for (const step of steps) yield [step, ...columns.map((one) => one.get(step) ?? Number.NaN)];
    },
  };
}

export interface Asked {
  run: string;
  metric: Metric;
  input: number;
  kind: string;
  /** Null: all heads of all layers. */
  only: { layer: number; heads: readonly number[] } | null;
  beside: readonly string[];
}

/** Python that gets the same numbers of a run. */
export function stepPython({ run, metric, input, kind, only, beside }: Asked): string {
  const where = [`(pc.field("input") == ${input})`, `(pc.field("kind") == ${quoted(kind)})`, `(pc.field("call") == 0)`];
  if (only) where.push(`(pc.field("layer") == ${only.layer})`, `pc.field("head").isin([${only.heads.join(", ")}])`);
  const lines = [
    ...opening({ run }, ["import pyarrow.compute as pc"]),
    `# ${metric}: ${MEANING[metric]}`,
    `rows = run.heads().filter(${where.join(" & ")})`,
    `series = rows.select(["step", "layer", "head", ${quoted(metric)}])`,
  ];
  if (beside.length > 0) {
    const read = beside.map((name) =>
      name === LOSS ? `${quoted(name)}: commit.loss` : `${quoted(name)}: commit.metrics.get(${quoted(name)})`,
    );
    lines.push(
      "commits = [run.commit(step) for step in run.steps]",
      `reported = [{"step": commit.step, ${read.join(", ")}} for commit in commits]`,
    );
  }
  return `${lines.join("\n")}\n`;
}
