// The index asset: metrics of every head, and where each layer's batch lies in the other assets.
import type { Columns } from "./arrow";
import { locate } from "./locate";
import { checkHeads, readMetrics } from "./metrics";
import type { BatchPart, IndexTable } from "./types";

export const PLACES = ["attention", "sparse", "vectors"] as const;
export type PlaceName = (typeof PLACES)[number];

export function readIndex(columns: Columns): IndexTable {
  const table = readMetrics(columns);
  checkHeads(columns, table, 0, table.length);
  const tap = columns.coded("tap");
  const module = columns.coded("module");
  const parts: BatchPart[] = [];
  const known = new Map<string, number>();
  const part = (place: PlaceName): Int32Array => locate(columns, place, parts, known).codes;
  return {
    ...table,
    tap: tap.codes,
    taps: tap.names,
    module: module.codes,
    modules: module.names,
    attention: part("attention"),
    sparse: part("sparse"),
    vectors: part("vectors"),
    parts,
  };
}
