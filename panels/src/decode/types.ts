// What decoding hands to the session: plain typed arrays and records, able to cross from a worker.

export interface SchemaPart {
  offset: number;
  length: number;
  sha256: string;
}

export interface AssetRecord {
  path: string;
  kind: string;
  bytes: number;
  sha256: string;
  decoded: number;
  rows: number;
  schema: SchemaPart | null;
}

export interface Missing {
  kind: string;
  layer: number | null;
  what: string;
  reason: string;
}

export interface Commit {
  writer: string;
  n: number;
  step: number;
  epoch: number | null;
  loss: number | null;
  checkpoint: string | null;
  metrics: Record<string, number>;
  time: number;
  precision: string;
  complete: boolean;
  inputs: AssetRecord;
  assets: AssetRecord[];
  missing: Missing[];
}

export interface Writer {
  writer: string;
  run: string;
  model: Record<string, unknown>;
  time: number;
}

export interface RunRecord {
  writers: Writer[];
  /** One commit per step, in order of steps: of several for one step the newest. */
  commits: Commit[];
}

/** One axis of one input: a sequence of tokens. */
export interface AxisTokens {
  axis: string;
  text: string | null;
  pair: string | null;
  tokens: string[];
  ids: Int32Array | null;
  segments: Uint8Array | null;
  special: boolean[] | null;
  generated: boolean[] | null;
  labels: string[] | null;
  cut: number;
}

export interface InputRecord {
  input: number;
  axes: AxisTokens[];
}

/** A byte range of an asset that holds one layer: offset and length in bytes. */
export interface BatchPart {
  path: string;
  offset: number;
  length: number;
  sha256: string;
}

export const METRICS = ["entropy", "distance", "previous", "next", "self", "first", "separator", "induction"] as const;
export type Metric = (typeof METRICS)[number];

/** Columns of an index asset; texts that repeat are coded (code → text). NaN stands for null. */
export interface IndexTable {
  length: number;
  input: Uint16Array;
  kind: Uint16Array;
  kinds: string[];
  layer: Uint16Array;
  head: Uint16Array;
  call: Uint16Array;
  queries: Uint32Array;
  keys: Uint32Array;
  group: Uint16Array;
  tap: Uint16Array;
  taps: string[];
  module: Uint16Array;
  modules: string[];
  check: Float32Array;
  explained: Float32Array;
  metrics: Record<Metric, Float32Array>;
  /** Row → number in `parts`, −1 where nothing was written. */
  attention: Int32Array;
  vectors: Int32Array;
  parts: BatchPart[];
}

export interface PictureTable {
  length: number;
  input: Uint16Array;
  kind: Uint16Array;
  kinds: string[];
  layer: Uint16Array;
  head: Uint16Array;
  call: Uint16Array;
  rows: Uint16Array;
  columns: Uint16Array;
  /** Where each picture starts in `codes`. */
  offsets: Uint32Array;
  codes: Uint8Array;
}

export type Precision = "u8" | "f16" | "f32";

/** Weights of one input, kind, layer and call, still in their codes: a head is decoded when it is shown. */
export interface AttentionLayer {
  heads: Uint16Array;
  queries: number;
  keys: number;
  precision: Precision;
  /** Heads one after the other, each queries × keys, row-major. */
  codes: Uint8Array | Uint16Array | Float32Array;
}

export interface QueryVectors {
  head: number;
  tokens: number;
  width: number;
  values: Float32Array;
  scale: number;
  softcap: number | null;
  causal: boolean | null;
  window: number | null;
  sink: number | null;
  rotary: boolean;
}

export interface KeyVectors {
  head: number;
  tokens: number;
  width: number;
  values: Float32Array;
}

export interface VectorLayer {
  q: QueryVectors[];
  k: KeyVectors[];
  v: KeyVectors[];
}
