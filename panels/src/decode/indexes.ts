// The index asset: metrics of every head, and where each layer's batch lies in the other assets.
import type { Columns } from "./arrow";
import { type BatchPart, type IndexTable, METRICS, type Metric } from "./types";

const FILE = /^[a-z0-9-]+\.arrow$/;

export function readIndex(columns: Columns): IndexTable {
  const kind = columns.coded("kind");
  const tap = columns.coded("tap");
  const module = columns.coded("module");
  const parts: BatchPart[] = [];
  const known = new Map<string, number>();

  function locate(prefix: "attention" | "vectors"): Int32Array {
    const paths = columns.texts(`${prefix}_path`);
    const offsets = columns.nullableNumbers(`${prefix}_offset`, "uint64");
    const lengths = columns.nullableNumbers(`${prefix}_length`, "uint32");
    const digests = columns.texts(`${prefix}_sha256`);
    return Int32Array.from(paths, (path, row) => {
      if (path === null) return -1;
      const offset = offsets[row];
      const length = lengths[row];
      const sha256 = digests[row];
      if (!FILE.test(path)) throw columns.fail(`row ${row} names the file ${JSON.stringify(path).slice(0, 80)}`);
      if (offset == null || length == null || !sha256)
        throw columns.fail(`row ${row} does not say where its batch lies`);
      const key = `${path} ${offset} ${length}`;
      let at = known.get(key);
      if (at === undefined) {
        at = parts.push({ path, offset: Number(offset), length, sha256 }) - 1;
        known.set(key, at);
      }
      return at;
    });
  }

  const metrics = {} as Record<Metric, Float32Array>;
  for (const name of METRICS) metrics[name] = columns.numbers(name, "float32", Float32Array, true);
  return {
    length: columns.length,
    input: columns.numbers("input", "uint16", Uint16Array),
    kind: kind.codes,
    kinds: kind.names,
    layer: columns.numbers("layer", "uint16", Uint16Array),
    head: columns.numbers("head", "uint16", Uint16Array),
    call: columns.numbers("call", "uint16", Uint16Array),
    queries: columns.numbers("queries", "uint32", Uint32Array),
    keys: columns.numbers("keys", "uint32", Uint32Array),
    group: columns.numbers("group", "uint16", Uint16Array),
    tap: tap.codes,
    taps: tap.names,
    module: module.codes,
    modules: module.names,
    check: columns.numbers("check", "float32", Float32Array, true),
    explained: columns.numbers("explained", "float32", Float32Array, true),
    metrics,
    attention: locate("attention"),
    vectors: locate("vectors"),
    parts,
  };
}
