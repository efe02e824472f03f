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

/** A writer's roll-up of its index assets, and the commits it says it covers. */
export interface RollUpRecord {
  writer: string;
  commits: number[];
  asset: AssetRecord;
}

export interface RunRecord {
  writers: Writer[];
  rollUps: RollUpRecord[];
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
  /** Where each token stands in its text, in characters (code points): from `starts` to before `ends`. */
  starts: Uint32Array | null;
  ends: Uint32Array | null;
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

/** Metrics of heads, one row each; texts that repeat are coded (code → text). NaN stands for null. */
export interface MetricTable {
  length: number;
  input: Uint16Array;
  kind: Int32Array;
  kinds: string[];
  layer: Uint16Array;
  head: Uint16Array;
  call: Uint16Array;
  queries: Uint32Array;
  keys: Uint32Array;
  group: Uint16Array;
  check: Float32Array;
  explained: Float32Array;
  metrics: Record<Metric, Float32Array>;
  /** Mean mass that sparse weights left out. */
  leftOut: Float32Array;
}

/** An index asset. */
export interface IndexTable extends MetricTable {
  tap: Int32Array;
  taps: string[];
  module: Int32Array;
  modules: string[];
  /** Row → number in `parts`, −1 where nothing was written. */
  attention: Int32Array;
  sparse: Int32Array;
  vectors: Int32Array;
  parts: BatchPart[];
}

/** The rows of one commit in a roll-up. */
export interface RolledCommit {
  n: number;
  step: number;
  /** Its rows: from `first` to before `end`. */
  first: number;
  end: number;
}

/** A roll-up of index assets. */
export interface RollUp {
  table: MetricTable;
  commits: RolledCommit[];
}

export interface PictureTable {
  length: number;
  input: Uint16Array;
  kind: Int32Array;
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

/** Codes of weights: uint8 squares of roots, bit patterns of float16, or the weights themselves. */
export type Codes = Uint8Array | Uint16Array | Float32Array;

/** Weights of one input, kind, layer and call, still in their codes: a head is decoded when it is shown. */
export interface AttentionLayer {
  stored: "dense";
  heads: Uint16Array;
  queries: number;
  keys: number;
  precision: Precision;
  /** Heads one after the other, each queries × keys, row-major. */
  codes: Codes;
}

/** The greatest weights of each query row of a layer, still in their codes; the others are not known, and not 0. */
export interface SparseLayer {
  stored: "sparse";
  heads: Uint16Array;
  queries: number;
  keys: number;
  precision: Precision;
  /** What is kept of a row: this many keys, or this share of its mass, whichever comes first. Null: not said. */
  top: number | null;
  mass: number | null;
  /** Row `i` of the n-th head keeps items `starts[n · queries + i]` to before `starts[n · queries + i + 1]`. */
  starts: Uint32Array;
  /** Kept keys, ascending within a row. */
  indices: Uint32Array;
  codes: Codes;
  /** Mass of each row on keys that are not kept, heads one after the other. */
  leftOut: Float32Array;
  /** Greatest weight of each cell, heads one after the other, codes as in `u8`. */
  picture: { rows: number; columns: number; codes: Uint8Array };
}

export type WeightLayer = AttentionLayer | SparseLayer;

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
  /** Of each key: how long the vector is that its value adds to this head's output. Null: not recorded. */
  norms: Float32Array | null;
}

export interface KeyVectors {
  head: number;
  tokens: number;
  width: number;
  values: Float32Array;
}

export interface VectorLayer {
  /** How they are stored: float16, 8 bits with one scale per token, or float32. */
  precision: "f16" | "i8" | "f32";
  q: QueryVectors[];
  k: KeyVectors[];
  v: KeyVectors[];
}

export const STATISTICS = ["mean", "std", "norm", "min", "max", "cosine"] as const;
export type Statistic = (typeof STATISTICS)[number];

/** Of hidden states: which axis of which input they are of; layer 0 are the embeddings, n is what leaves layer n. */
export interface StatePlace {
  input: number;
  axis: string;
  layer: number;
  tokens: number;
  /** Of each token's state. */
  width: number;
}

/** Statistics of hidden states, one number per token; NaN where a cosine is not defined. */
export interface StateLayer extends StatePlace {
  statistics: Record<Statistic, Float32Array>;
  /** Where the states themselves lie; null: they were not written. */
  hidden: BatchPart | null;
}

/** Hidden states of one layer, row-major tokens × width. */
export interface HiddenLayer extends StatePlace {
  precision: "f16" | "f32";
  values: Float32Array;
}

interface OutputOf {
  input: number;
  axis: string;
  /** Of a prediction and a loss what is predicted, of saliency the method. */
  name: string;
  tokens: number;
}

/** The most probable answers, most probable first: of the whole input (one row) or of each token. */
export interface Prediction extends OutputOf {
  role: "prediction";
  rows: number;
  top: number;
  ids: Int32Array;
  labels: string[];
  probabilities: Float32Array;
}

/** Nats per token; NaN at tokens that were to predict nothing. */
export interface Loss extends OutputOf {
  role: "loss";
  values: Float32Array;
}

export interface Saliency extends OutputOf {
  role: "saliency";
  values: Float32Array;
  /** What the tokens are salient for, in words. */
  target: string;
  position: number | null;
  steps: number | null;
  error: number | null;
}

export type Output = Prediction | Loss | Saliency;
