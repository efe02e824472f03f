// The reader for programs: bytes of one asset, or of one record batch of it, verified, walked, decoded and checked.
import { AssetSchemaError, AssetTooLarge } from "./errors";
import { type Job, type LayerResults, type Results, runJob, runLayers, type TableResults } from "./jobs";
import { LIMITS, type Limits } from "./limits";
import type { Place } from "./place";
import { type AssetKind, SCHEMAS } from "./schema";
import type { AssetRecord, BatchPart, StatePlace } from "./types";

/** What a whole asset holds: a table, or the layers of its record batches. */
export type Whole = TableResults & { [K in keyof LayerResults]: LayerResults[K][] };
export type { Place };

/** What a manifest says of an asset; its schema message is needed for partial reads only. */
export type Declaration = Omit<AssetRecord, "schema"> & { schema?: AssetRecord["schema"] };

function kindOf(record: Declaration): AssetKind {
  if (!(record.kind in SCHEMAS)) throw new AssetSchemaError(`${record.path} is of an unknown kind: ${record.kind}`);
  return record.kind as AssetKind;
}

/** Reads a whole asset. Errors are those of docs/format.md, Reading safely, by `error.name`. */
export async function readAsset(
  bytes: Uint8Array,
  record: Declaration,
  limits: Limits = LIMITS,
): Promise<Whole[AssetKind]> {
  const kind = kindOf(record);
  const { path, sha256, decoded, rows } = record;
  const parts = [{ bytes, expected: { asset: path, bytes: record.bytes, sha256 } }];
  const job = { asset: path, parts, decoded, rows, limits };
  switch (kind) {
    case "attention":
      return runLayers({ ...job, kind });
    case "sparse":
      return runLayers({ ...job, kind });
    case "vectors":
      return runLayers({ ...job, kind });
    default:
      return runJob({ ...job, kind });
  }
}

type LayerKind = keyof LayerResults;
/** What is read batch by batch. */
export type BatchKind = LayerKind | "hidden";

/** Reads one record batch: the bytes of the schema message (`record.schema`) and of the batch (`part`, from the index). */
export async function readBatch(
  schema: Uint8Array,
  batch: Uint8Array,
  record: Declaration,
  part: BatchPart,
  place?: Place | StatePlace,
  limits: Limits = LIMITS,
): Promise<Results[BatchKind]> {
  const kind = kindOf(record);
  if (kind !== "attention" && kind !== "sparse" && kind !== "vectors" && kind !== "hidden") {
    throw new AssetSchemaError(`${record.path} is not read by parts`);
  }
  return runJob<BatchKind>(batchJob(kind, record, part, place, limits)(schema, batch));
}

/** What reads one batch, once its schema message and its own are there. Fails when it does not lie inside its asset. */
export function batchJob<K extends BatchKind>(
  kind: K,
  record: Declaration,
  part: BatchPart,
  place?: Place | StatePlace,
  limits: Limits = LIMITS,
): (schema: Uint8Array, batch: Uint8Array) => Job<K> {
  const { path, decoded, bytes, schema: said } = record;
  if (!said) throw new AssetSchemaError(`the manifest does not say where the schema of ${path} lies`);
  const end = Math.max(part.offset + part.length, said.offset + said.length);
  if (end > bytes) throw new AssetSchemaError(`${path} has ${bytes} bytes; the index points to byte ${end}`);
  if (Math.max(part.length, said.length) > limits.bytes) {
    throw new AssetTooLarge(`${path} has a batch of ${part.length} bytes, more than the cap of ${limits.bytes}`);
  }
  const asset = `${path} (bytes ${part.offset}–${part.offset + part.length})`;
  const schemaPart = { asset: `${path} (schema)`, bytes: said.length, sha256: said.sha256 };
  const batchPart = { asset, bytes: part.length, sha256: part.sha256 };
  return (schema, batch) => ({
    kind,
    asset,
    parts: [
      { bytes: schema, expected: schemaPart },
      { bytes: batch, expected: batchPart },
    ],
    decoded,
    rows: null,
    ...(place ? { place } : {}),
    limits,
  });
}
