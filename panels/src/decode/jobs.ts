// What the worker does for one request: verify, decode, validate. Also runs on the main thread where workers are forbidden.
import { readColumns } from "./arrow";
import { readAttention } from "./attention";
import { AssetTooLarge } from "./errors";
import { readIndex } from "./indexes";
import { readInputs } from "./inputs";
import type { Limits } from "./limits";
import { readPictures } from "./pictures";
import type { AttentionLayer, IndexTable, InputRecord, PictureTable, VectorLayer } from "./types";
import { readVectors } from "./vectors";
import { type Expected, verify } from "./verify";

export interface Results {
  inputs: InputRecord[];
  index: IndexTable;
  pictures: PictureTable;
  attention: AttentionLayer;
  vectors: VectorLayer;
}
export type JobKind = keyof Results;

export interface Job<K extends JobKind = JobKind> {
  kind: K;
  asset: string;
  /** A whole file, or a schema message and a batch message; each with what its digest must be. */
  parts: { bytes: Uint8Array; expected: Expected }[];
  /** Declared size after decompression. */
  decoded: number;
  limits: Limits;
}

const readers = {
  inputs: readInputs,
  index: readIndex,
  pictures: readPictures,
  attention: readAttention,
  vectors: readVectors,
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

export async function runJob<K extends JobKind>(job: Job<K>): Promise<Results[K]> {
  for (const part of job.parts) await verify(part.bytes, part.expected, job.limits.bytes);
  if (job.decoded > job.limits.decoded) {
    throw new AssetTooLarge(`${job.asset} would decode to ${job.decoded} bytes, more than ${job.limits.decoded}`);
  }
  const bytes = join(job.parts.map((part) => part.bytes));
  const columns = readColumns(bytes, job.kind, job.asset, job.decoded);
  return readers[job.kind](columns) as Results[K];
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
