// What the worker does for one request: verify, walk, decode, validate. Also runs on the main thread where workers are forbidden.
import { type Columns, readColumns } from "./arrow";
import { readAttention } from "./attention";
import { AssetSchemaError, AssetTooLarge, AttnlogError } from "./errors";
import { readIndex } from "./indexes";
import { readInputs } from "./inputs";
import type { Limits } from "./limits";
import { readPictures } from "./pictures";
import { readOutputs } from "./outputs";
import { checkOnce, checkPlace, checkStatePlace, type Place } from "./place";
import { readRollUp } from "./rollup";
import { readSparse } from "./sparse";
import { readHidden, readStates } from "./states";
import type {
  AttentionLayer,
  HiddenLayer,
  IndexTable,
  InputRecord,
  Output,
  PictureTable,
  RollUp,
  SparseLayer,
  StateLayer,
  StatePlace,
  VectorLayer,
} from "./types";
import { readVectors } from "./vectors";
import { type Expected, verify } from "./verify";

/** One record batch of these is one layer. */
export interface LayerResults {
  attention: AttentionLayer;
  sparse: SparseLayer;
  vectors: VectorLayer;
}
/** These are read as a whole. */
export interface TableResults {
  inputs: InputRecord[];
  index: IndexTable;
  indexes: RollUp;
  pictures: PictureTable;
  states: StateLayer[];
  /** Whole, or one batch of it. */
  hidden: HiddenLayer[];
  outputs: Output[];
}
export type Results = LayerResults & TableResults;
export type JobKind = keyof Results;

export interface Job<K extends JobKind = JobKind> {
  kind: K;
  asset: string;
  /** A whole file, or a schema message and a batch message; each with what its digest must be. */
  parts: { bytes: Uint8Array; expected: Expected }[];
  /** Declared size after decompression. */
  decoded: number;
  /** Rows of a whole file; null for one batch. */
  rows: number | null;
  /** Of one batch: what the index, or of hidden states their statistics, say of its layer. */
  place?: Place | StatePlace;
  limits: Limits;
}

const readers: { [K in JobKind]: (columns: Columns) => Results[K] } = {
  inputs: readInputs,
  index: readIndex,
  indexes: readRollUp,
  pictures: readPictures,
  attention: readAttention,
  sparse: readSparse,
  vectors: readVectors,
  states: readStates,
  hidden: readHidden,
  outputs: readOutputs,
};

const END_OF_STREAM = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

function join(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) {
    const only = parts[0]!;
    // Arrow's typed views need aligned buffers.
    return only.byteOffset % 8 === 0 ? only : only.slice();
  }
  const all = [...parts, END_OF_STREAM];
  const joined = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

async function columnsOf(job: Job): Promise<Columns> {
  const { asset, decoded, rows, limits } = job;
  for (const part of job.parts) await verify(part.bytes, part.expected, limits.bytes);
  if (decoded > limits.decoded) {
    throw new AssetTooLarge(`${asset} would decode to ${decoded} bytes, more than ${limits.decoded}`);
  }
  return readColumns(join(job.parts.map((part) => part.bytes)), job.kind, { asset, decoded, rows, limits });
}

/** Whatever a decoder stumbles over in bytes that were not written by attnlog has one name. */
async function named<T>(asset: string, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof AttnlogError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    if (/allocation failed|array length/i.test(said))
      throw new AssetTooLarge(`${asset} needs more memory than there is`);
    throw new AssetSchemaError(`${asset} cannot be decoded: ${said}`);
  }
}

/** One table, or one layer. */
export function runJob<K extends JobKind>(job: Job<K>): Promise<Results[K]> {
  return named(job.asset, async () => {
    const columns = await columnsOf(job);
    const result = readers[job.kind](columns);
    if (job.place && "axis" in job.place) checkStatePlace(columns, result as HiddenLayer[], job.place);
    else if (job.place) checkPlace(columns, result as LayerResults[keyof LayerResults], job.place);
    return result;
  });
}

/** Every layer of a whole file: one for each of its record batches. */
export function runLayers<K extends keyof LayerResults>(job: Job<K>): Promise<LayerResults[K][]> {
  return named(job.asset, async () => {
    const columns = await columnsOf(job);
    checkOnce(columns);
    return columns.split().map(readers[job.kind]);
  });
}

/** The buffers of a result, to move rather than copy out of the worker. */
export function buffersOf(value: unknown, found = new Set<ArrayBuffer>()): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer) found.add(value.buffer);
  } else if (Array.isArray(value)) {
    if (typeof value[0] === "object") for (const item of value) buffersOf(item, found);
  } else if (value && typeof value === "object") {
    for (const item of Object.values(value)) buffersOf(item, found);
  }
  return [...found];
}
