// Assets for tests, written by the encoder of the Arrow library: columns as plain arrays, each with the type the format gives it.
import { createHash } from "node:crypto";
import {
  bool,
  type Column,
  type DataType,
  columnFromArray,
  float16,
  float32,
  int32,
  int8,
  list,
  tableFromColumns,
  tableToIPC,
  uint16,
  uint32,
  uint64,
  uint8,
  utf8,
} from "@uwdata/flechette";
import type { Declaration } from "../src/decode/read";
import { type AssetKind, SCHEMAS } from "../src/decode/schema";
import type { BatchPart } from "../src/decode/types";

const TYPES: Record<string, () => DataType> = {
  bool,
  float16,
  float32,
  int8,
  int32,
  uint8,
  uint16,
  uint32,
  uint64,
  utf8,
};

export function typeOf(name: string): DataType {
  return name.startsWith("list<") ? list(typeOf(name.slice(5, -1))) : TYPES[name]!();
}

export type Values = Record<string, unknown[]>;

export interface Made {
  bytes: Uint8Array;
  record: Declaration;
}

export interface Options {
  /** Types of columns whose rule allows several, or that shall be wrong. */
  types?: Record<string, string>;
  metadata?: Record<string, string | null>;
  /** Rows of each record batch; one batch without it. */
  batch?: number;
  /** Columns in the file besides those of the kind, or once more. */
  more?: [string, string, unknown[]][];
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** An asset of a kind. Columns that `values` does not have are left out. */
export function asset(
  kind: AssetKind,
  values: Values,
  { types = {}, metadata = {}, batch, more = [] }: Options = {},
): Made {
  const options = batch === undefined ? {} : { maxBatchRows: batch };
  const columns: [string, Column<unknown>][] = SCHEMAS[kind].flatMap((rule) => {
    const items = values[rule.name];
    return items ? [[rule.name, columnFromArray(items, typeOf(types[rule.name] ?? rule.types[0]!), options)]] : [];
  });
  for (const [name, type, items] of more) columns.push([name, columnFromArray(items, typeOf(type), options)]);
  const table = tableFromColumns(columns);
  const said = { "attnlog.format": "1", "attnlog.kind": kind, ...metadata };
  const known = Object.entries(said).filter((one): one is [string, string] => one[1] !== null);
  (table.schema as { metadata: Map<string, string> }).metadata = new Map(known);
  const bytes = withOneEnd(tableToIPC(table, { format: "file" }) as Uint8Array);
  return { bytes, record: recordOf(kind, bytes, table.numRows) };
}

/** The library writes the end-of-stream marker twice, the format has it once. */
function withOneEnd(bytes: Uint8Array): Uint8Array {
  const end = messagesOf(bytes).reduce((_, { at, length }) => at + length, 8);
  const made = new Uint8Array(bytes.length - 8);
  made.set(bytes.subarray(0, end));
  made.set(bytes.subarray(end + 8), end);
  return made;
}

/** What a manifest would say of these bytes. */
export function recordOf(kind: string, bytes: Uint8Array, rows: number): Declaration {
  const path = `step-00000000/w-0/${kind}.arrow`;
  const message = bytes.subarray(8, 16 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true));
  return {
    path,
    kind,
    bytes: bytes.length,
    sha256: sha256(bytes),
    decoded: bytes.length,
    rows,
    schema: { offset: 8, length: message.length, sha256: sha256(message) },
  };
}

/** The same asset with some bytes changed, or those that `change` returns, signed again. */
export function changed({ bytes, record }: Made, change: (bytes: Uint8Array, view: DataView) => unknown): Made {
  const copy = bytes.slice();
  const given = change(copy, new DataView(copy.buffer));
  const made = given instanceof Uint8Array ? given : copy;
  return { bytes: made, record: { ...record, bytes: made.length, sha256: sha256(made) } };
}

/** Schema and record batches of a file: where each begins, its metadata and how long it is with its body. */
export function messagesOf(bytes: Uint8Array): { at: number; metadata: number; length: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const found = [];
  for (let at = 8; ; ) {
    const size = view.getUint32(at + 4, true);
    if (size === 0) return found;
    const root = at + 8 + view.getUint32(at + 8, true);
    const vtable = root - view.getInt32(root, true);
    const slot = view.getUint16(vtable, true) > 10 ? view.getUint16(vtable + 10, true) : 0;
    const length = 8 + size + (slot === 0 ? 0 : Number(view.getBigInt64(root + slot, true)));
    found.push({ at, metadata: 8 + size, length });
    at += length;
  }
}

/** The places that an index names: file, offset, length and digest of each record batch. */
export function batchesOf({ bytes, record }: Made): BatchPart[] {
  const path = record.path.slice(record.path.lastIndexOf("/") + 1);
  return messagesOf(bytes)
    .slice(1)
    .map(({ at, length }) => ({ path, offset: at, length, sha256: sha256(bytes.subarray(at, at + length)) }));
}

const head = (heads: number[]): Values => ({
  input: heads.map(() => 0),
  kind: heads.map(() => "self"),
  layer: heads.map(() => 0),
  head: heads,
  call: heads.map(() => 0),
});

/** Two heads of three queries and keys. */
export const ATTENTION: Values = {
  ...head([0, 1]),
  queries: [3, 3],
  keys: [3, 3],
  weights: [
    [255, 0, 0, 180, 180, 0, 128, 128, 128],
    [0, 255, 0, 0, 0, 255, 255, 0, 0],
  ],
};

/** One head of three queries and four keys, of which rows keep 1, 2 and 0 keys. */
export const SPARSE: Values = {
  ...head([5]),
  queries: [3],
  keys: [4],
  rows: [3],
  columns: [4],
  picture: [[255, 0, 0, 0, 100, 0, 150, 0, 10, 10, 10, 10]],
  counts: [[1, 2, 0]],
  indices: [[0, 0, 2]],
  weights: [[255, 100, 150]],
  left_out: [[0, 0.5, 1]],
};

export const SPARSE_METADATA = { "attnlog.precision": "u8", "attnlog.top": "64", "attnlog.mass": "0.99" };

/** q of one head, k and v of its group: two tokens of two elements. */
export const VECTORS: Values = {
  input: [0, 0, 0],
  kind: ["self", "self", "self"],
  layer: [0, 0, 0],
  head: [0, 0, 0],
  call: [0, 0, 0],
  role: ["q", "k", "v"],
  tokens: [2, 2, 2],
  width: [2, 2, 2],
  values: [
    [127, -64, 1, 0],
    [127, 127, -127, 0],
    [0, 0, 0, 0],
  ],
  scales: [
    [0.5, 2],
    [1, 0],
    [0, 0],
  ],
  scale: [0.7, null, null],
  softcap: [null, null, null],
  causal: [true, null, null],
  window: [null, null, null],
  sink: [null, null, null],
  rotary: [false, null, null],
};

export const I8 = { metadata: { "attnlog.precision": "i8" }, types: { values: "list<int8>" } };

/** Rows of an index without places: `heads` heads of one layer. */
export function metrics(heads: number): Values {
  const rows = Array.from({ length: heads }, (_, i) => i);
  const some = (value: unknown): unknown[] => rows.map(() => value);
  return {
    ...head(rows),
    queries: some(3),
    keys: some(3),
    group: rows,
    tap: some("tensors"),
    module: some("m"),
    check: some(null),
    explained: some(0.001),
    entropy: rows.map((row) => 1 + row),
    ...Object.fromEntries(
      ["distance", "previous", "next", "self", "first", "induction"].map((name) => [name, some(0.25)]),
    ),
    separator: some(null),
  };
}

/** An index whose heads have no weights or vectors. */
export function index(heads: number): Values {
  const none = Array.from({ length: heads }, () => null);
  const places = ["attention", "vectors"].flatMap((place) =>
    ["path", "offset", "length", "sha256"].map((one) => `${place}_${one}`),
  );
  return { ...metrics(heads), ...Object.fromEntries(places.map((name) => [name, none])) };
}
