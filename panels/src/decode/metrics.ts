// What an index and a roll-up have in common: heads, their shapes and their metrics.
import type { Columns } from "./arrow";
import { METRICS, type Metric, type MetricTable } from "./types";
import { isMetric } from "./values";

export function readMetrics(columns: Columns): MetricTable {
  const kind = columns.coded("kind");
  const metrics = {} as Record<Metric, Float32Array>;
  for (const name of METRICS) metrics[name] = columns.floats(name, isMetric);
  return {
    length: columns.length,
    input: columns.numbers("input", Uint16Array),
    kind: kind.codes,
    kinds: kind.names,
    layer: columns.numbers("layer", Uint16Array),
    head: columns.numbers("head", Uint16Array),
    call: columns.numbers("call", Uint16Array),
    queries: columns.numbers("queries", Uint32Array),
    keys: columns.numbers("keys", Uint32Array),
    group: columns.numbers("group", Uint16Array),
    check: columns.floats("check", isMetric),
    explained: columns.floats("explained", isMetric),
    metrics,
    leftOut: columns.floats("left_out", isMetric),
  };
}

/** Fails where a head is there twice, or the heads of a layer differ in shape: rows from `first` to before `end`. */
export function checkHeads(columns: Columns, table: MetricTable, first: number, end: number): void {
  const shapes = new Map<string, { queries: number; keys: number; heads: Set<number> }>();
  for (let row = first; row < end; row++) {
    const place = `${table.input[row]} ${table.kind[row]} ${table.layer[row]} ${table.call[row]}`;
    const head = table.head[row]!;
    const queries = table.queries[row]!;
    const keys = table.keys[row]!;
    const known = shapes.get(place);
    if (!known) shapes.set(place, { queries, keys, heads: new Set([head]) });
    else if (known.heads.has(head)) {
      throw columns.fail(`row ${row} names head ${head} of layer ${table.layer[row]} a second time`);
    } else if (known.queries !== queries || known.keys !== keys) {
      throw columns.fail(`heads of layer ${table.layer[row]} differ in shape`);
    } else known.heads.add(head);
  }
}
