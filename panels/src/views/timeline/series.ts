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

/** One metric of every head at every step. */
export interface HeadTable {
  heads: { layer: number; head: number }[];
  steps: number[];
  /** Heads × steps, row-major; NaN where it is not defined, or not read. */
  values: Float32Array;
  /** The greatest value; 0 where there is none. */
  most: number;
}

/** Rows are all heads that any step has, by layer and head. */
export function headTable(
  commits: Commit[],
  indexes: ReadonlyMap<Commit, MetricTable>,
  what: { input: number; kind: string; metric: Metric },
): HeadTable {
  const found: { key: number; at: number; value: number }[] = [];
  commits.forEach((commit, at) => {
    const index = indexes.get(commit);
    if (!index) return;
    const code = index.kinds.indexOf(what.kind);
    const metric = index.metrics[what.metric];
    for (let row = 0; row < index.length; row++) {
      if (index.kind[row] !== code || index.input[row] !== what.input || index.call[row] !== 0) continue;
      found.push({ key: index.layer[row]! * HEADS + index.head[row]!, at, value: metric[row]! });
    }
  });
  const keys = [...new Set(found.map((one) => one.key))].sort((a, b) => a - b);
  const rows = new Map(keys.map((key, row) => [key, row]));
  const values = new Float32Array(keys.length * commits.length).fill(Number.NaN);
  let most = 0;
  for (const { key, at, value } of found) {
    values[rows.get(key)! * commits.length + at] = value;
    if (value > most) most = value;
  }
  return {
    heads: keys.map((key) => ({ layer: Math.floor(key / HEADS), head: key % HEADS })),
    steps: commits.map((one) => one.step),
    values,
    most,
  };
}

/** Heads and layers are 16-bit numbers. */
const HEADS = 1 << 16;
