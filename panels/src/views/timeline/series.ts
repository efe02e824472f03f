// The timeline's numbers: one metric of the chosen heads at every step whose index has been read, and the loss.
import { type Commit, METRICS, type Metric, type MetricTable } from "../../decode/types";
import type { Scene } from "../../session/scene";

export interface Series {
  head: number;
  steps: number[];
  /** NaN where the metric is not defined at that step, or its index has not been read. */
  values: number[];
}

/** Metrics that have a value anywhere for this input and kind. */
export function definedMetrics(scene: Scene, input: number, kind: string): Metric[] {
  const { index } = scene;
  const code = index.kinds.indexOf(kind);
  return METRICS.filter((name) => {
    const values = index.metrics[name];
    for (let row = 0; row < index.length; row++) {
      if (index.input[row] === input && index.kind[row] === code && !Number.isNaN(values[row]!)) return true;
    }
    return false;
  });
}

export function usualMetric(defined: Metric[]): Metric {
  return defined.includes("induction")
    ? "induction"
    : defined.includes("entropy")
      ? "entropy"
      : (defined[0] ?? "entropy");
}

export function headSeries(
  commits: Commit[],
  indexes: ReadonlyMap<Commit, MetricTable>,
  what: { input: number; kind: string; layer: number; heads: number[]; metric: Metric },
): Series[] {
  const series = what.heads.map((head): Series => ({ head, steps: [], values: [] }));
  const byHead = new Map(series.map((one) => [one.head, one]));
  for (const commit of commits) {
    const index = indexes.get(commit);
    if (!index) {
      // Not read yet, or not in this file: a gap, because a line across it would claim values nobody has seen.
      for (const one of series) {
        one.steps.push(commit.step);
        one.values.push(Number.NaN);
      }
      continue;
    }
    const code = index.kinds.indexOf(what.kind);
    for (let row = 0; row < index.length; row++) {
      if (index.layer[row] !== what.layer || index.input[row] !== what.input) continue;
      if (index.kind[row] !== code || index.call[row] !== 0) continue;
      const one = byHead.get(index.head[row]!);
      if (!one) continue;
      one.steps.push(commit.step);
      one.values.push(index.metrics[what.metric][row]!);
    }
  }
  return series;
}

/** The training loss at each step, or the evaluation's where the trainer reported only that. */
export function lossSeries(commits: Commit[]): { name: string; steps: number[]; values: number[] } | null {
  for (const [name, read] of [
    ["loss", (one: Commit) => one.loss],
    ["eval loss", (one: Commit) => one.metrics.eval_loss ?? null],
  ] as const) {
    const known = commits.filter((one) => read(one) !== null);
    if (known.length > 0)
      return { name, steps: known.map((one) => one.step), values: known.map((one) => read(one) as number) };
  }
  return null;
}
