// The index asset: metrics of every head, and where each layer's batch lies in the other assets.
import type { Columns } from "./arrow";
import { checkHeads, readMetrics } from "./metrics";
import type { BatchPart, IndexTable } from "./types";

const FILE = /^[a-z0-9-]+\.arrow$/;

export const PLACES = ["attention", "sparse", "vectors"] as const;
export type PlaceName = (typeof PLACES)[number];

export function readIndex(columns: Columns): IndexTable {
  const table = readMetrics(columns);
  checkHeads(columns, table, 0, table.length);
  const tap = columns.coded("tap");
  const module = columns.coded("module");
  const parts: BatchPart[] = [];
  const known = new Map<string, number>();

  function locate(place: PlaceName): Int32Array {
    const paths = columns.coded(`${place}_path`);
    const digests = columns.coded(`${place}_sha256`);
    const offsets = columns.nullable(`${place}_offset`);
    const lengths = columns.nullable(`${place}_length`);
    return paths.codes.map((code, row) => {
      if (code < 0) return -1;
      const path = paths.names[code]!;
      const offset = offsets[row]!;
      const length = lengths[row]!;
      const sha256 = digests.names[digests.codes[row]!];
      if (!FILE.test(path)) throw columns.fail(`row ${row} names the file ${JSON.stringify(path).slice(0, 80)}`);
      if (Number.isNaN(offset) || Number.isNaN(length) || sha256 === undefined) {
        throw columns.fail(`row ${row} does not say where its batch lies`);
      }
      const key = `${path} ${offset} ${length} ${sha256}`;
      let at = known.get(key);
      if (at === undefined) {
        at = parts.push({ path, offset, length, sha256 }) - 1;
        known.set(key, at);
      }
      return at;
    });
  }

  return {
    ...table,
    tap: tap.codes,
    taps: tap.names,
    module: module.codes,
    modules: module.names,
    attention: locate("attention"),
    sparse: locate("sparse"),
    vectors: locate("vectors"),
    parts,
  };
}
