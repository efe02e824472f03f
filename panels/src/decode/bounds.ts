// Arrow's messages, walked and checked before anything of them is decoded or inflated (docs/format.md, Reading safely, step 3).
//
// What is walked here is what gets decoded afterwards: the messages, never what a footer says of them.
import { AssetSchemaError, AssetTooLarge, AttnlogError } from "./errors";
import { Flat, readI64, type Table } from "./flatbuffer";
import type { Limits } from "./limits";

const SCHEMA = 1;
const RECORD_BATCH = 3;
/** Metadata versions 4 and 5 of Arrow; earlier ones lay buffers out differently. */
const VERSIONS = [3, 4];
const ZSTD = 1;
/** Lists in a column, one inside another. */
const DEPTH = 2;
const DECIMAL = 7;
const TIMESTAMP = 10;
const UNION = 14;

export interface Declared {
  /** What errors name. */
  asset: string;
  /** Bytes that its columns take, by the manifest; padding may double them and add a megabyte. */
  decoded: number;
  /** Rows of a whole file, by the manifest; null for one batch of it. */
  rows: number | null;
  limits: Limits;
}

interface Message {
  at: number;
  header: Table;
  type: number;
  /** Bytes from the start of the message to its body. */
  metadata: number;
  body: Uint8Array;
}

/** The stream that may be decoded: schema message, batch messages and the end marker of a file, or of a stream as it is. */
export function walk(bytes: Uint8Array, declared: Declared): Uint8Array {
  try {
    return new Walk(bytes, declared).stream();
  } catch (error) {
    if (error instanceof AttnlogError) throw error;
    throw new AssetSchemaError(
      `${declared.asset} is not a readable Arrow file: ${(error as Error).message}`,
      "Copy the run again from where it was written.",
    );
  }
}

class Walk {
  private readonly view: DataView;
  private readonly allowed: number;
  private total = 0;
  private end = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly declared: Declared,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.allowed = Math.min(2 * declared.decoded + 1_000_000, declared.limits.decoded);
  }

  stream(): Uint8Array {
    const { bytes, declared } = this;
    const whole = declared.rows !== null;
    if (whole && !(hasMagic(bytes, 0) && bytes[6] === 0 && bytes[7] === 0)) throw new Error("it does not begin as one");
    const start = whole ? 8 : 0;
    const [first, ...batches] = this.messages(start);
    if (first?.type !== SCHEMA) throw new Error("it does not begin with a schema");
    const depths = schemaDepths(first.header, declared);
    if (depths.length * batches.length > declared.limits.nodes) throw this.tooMany("columns and batches");
    let rows = 0;
    for (const batch of batches) rows += this.batch(batch, depths);
    if (!whole) {
      if (batches.length !== 1) throw new Error(`${batches.length} batches stand where one should`);
    } else if (rows !== declared.rows) throw new Error(`it has ${rows} rows, its manifest says ${declared.rows}`);
    if (rows > declared.limits.rows) throw this.tooMany("rows");
    if (whole) this.footer(batches);
    else if (this.end !== bytes.length) throw new Error(`${bytes.length - this.end} bytes follow its end`);
    return bytes.subarray(start, this.end);
  }

  private tooMany(what: string): AssetTooLarge {
    return new AssetTooLarge(`${this.declared.asset} has more ${what} than this viewer takes`);
  }

  /** Messages in their order, to the marker that ends them. */
  private messages(from: number): Message[] {
    const found: Message[] = [];
    for (let at = from; ; ) {
      if (at + 8 > this.bytes.length) throw new Error("its end-of-stream marker is missing");
      if (this.view.getUint32(at, true) !== 0xffffffff) throw new Error(`no message begins at byte ${at}`);
      const size = this.view.getUint32(at + 4, true);
      if (size === 0) {
        this.end = at + 8;
        return found;
      }
      const start = at + 8 + size;
      if (size % 8 !== 0 || start > this.bytes.length) throw new Error(`a message of ${size} bytes at ${at}`);
      const root = new Flat(this.bytes.subarray(at + 8, start)).root();
      const type = root.number(1, "u8");
      if (type !== (found.length === 0 ? SCHEMA : RECORD_BATCH)) throw new Error(`a message of type ${type} at ${at}`);
      if (!VERSIONS.includes(root.number(0, "i16"))) throw new Error("it is of an early version of Arrow");
      const header = root.table(2);
      const length = root.number(3, "i64");
      if (!header) throw new Error(`a message without a header at ${at}`);
      if (!(length >= 0 && length % 8 === 0 && start + length <= this.bytes.length)) {
        throw new Error(`a message's body of ${length} bytes at ${start}`);
      }
      keyValues(root, 4);
      if (found.length > this.declared.limits.batches) throw this.tooMany("batches");
      found.push({ at, header, type, metadata: 8 + size, body: this.bytes.subarray(start, start + length) });
      at = start + length;
    }
  }

  /** Checks a record batch and counts what its buffers inflate to; answers its rows. */
  private batch({ header, body }: Message, depths: number[]): number {
    const { flat } = header;
    const rows = header.number(0, "i64");
    const nodes = header.vector(1, 16, 8);
    if (!(rows >= 0) || nodes.count !== depths.length) {
      throw new Error(`a batch of ${rows} rows has ${nodes.count} nodes for ${depths.length} fields`);
    }
    depths.forEach((depth, i) => {
      const length = flat.i64(nodes.start + 16 * i);
      const nulls = flat.i64(nodes.start + 16 * i + 8);
      if (!(length >= 0 && nulls >= 0 && nulls <= length) || (depth === 0 && length !== rows)) {
        throw new Error(`a field has ${length} values, ${nulls} of them null, in a batch of ${rows} rows`);
      }
    });
    const compression = header.table(3);
    if (compression && (compression.number(0, "u8") !== ZSTD || compression.number(1, "u8") !== 0)) {
      throw new Error("its buffers are not compressed by zstd");
    }
    header.vector(4, 8, 8);
    const buffers = header.vector(2, 16, 8);
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    for (let i = 0; i < buffers.count; i++) {
      const offset = flat.i64(buffers.start + 16 * i);
      const length = flat.i64(buffers.start + 16 * i + 8);
      if (!(offset >= 0 && length >= 0 && offset + length <= body.length)) {
        throw new Error(`buffer ${i} lies outside its message`);
      }
      this.charge(compression !== null && length > 0 ? inflated(view, offset, length, i) : length);
    }
    return rows;
  }

  private charge(length: number): void {
    this.total += length;
    if (this.total <= this.allowed) return;
    const { asset, decoded } = this.declared;
    throw new AssetTooLarge(
      `${asset} would decode to more than ${this.allowed} bytes; its manifest declares ${decoded}`,
      "Copy the run again from where it was written.",
    );
  }

  /** The footer names the batches that were walked: other readers go by it. */
  private footer(batches: Message[]): void {
    const { bytes, end, view } = this;
    const tail = bytes.length - 6;
    if (tail - 4 < end || !hasMagic(bytes, tail)) throw new Error("it does not end as one");
    const size = view.getUint32(tail - 4, true);
    if (end + size !== tail - 4) throw new Error("its footer does not follow its messages");
    const footer = new Flat(bytes.subarray(end, end + size)).root();
    const { flat } = footer;
    const blocks = footer.vector(3, 24, 8);
    const same = batches.every((batch, i) => {
      if (i >= blocks.count) return false;
      const at = blocks.start + 24 * i;
      return (
        flat.i64(at) === batch.at && flat.i32(at + 8) === batch.metadata && flat.i64(at + 16) === batch.body.length
      );
    });
    if (footer.vector(2, 24, 8).count > 0 || blocks.count !== batches.length || !same) {
      throw new Error("its footer names other batches than it holds");
    }
  }
}

function hasMagic(bytes: Uint8Array, at: number): boolean {
  return [..."ARROW1"].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
}

/** What a compressed buffer inflates to: it begins with that length, −1 where it is stored as it is. */
function inflated(body: DataView, offset: number, length: number, number: number): number {
  if (length < 8) throw new Error(`buffer ${number} is too short to say its length`);
  const size = readI64(body, offset);
  if (size < -1) throw new Error(`buffer ${number} declares ${size} bytes`);
  return size === -1 ? length - 8 : size;
}

/** Checks a schema; answers how deep each field is nested, in the order of a batch's nodes. */
function schemaDepths(schema: Table, { asset, limits }: Declared): number[] {
  if (schema.number(0, "i16") !== 0) throw new Error("it is big-endian");
  keyValues(schema, 2);
  schema.vector(3, 8, 8);
  const depths: number[] = [];
  const visit = (field: Table, depth: number): void => {
    if (field.slot(4, 4) !== null) throw new Error("it has a dictionary");
    if (depth > DEPTH) throw new Error(`its lists nest more than ${DEPTH} deep`);
    if (depths.length >= limits.columns) throw new AssetTooLarge(`${asset} has more columns than this viewer takes`);
    depths.push(depth);
    field.vector(0, 1, 1);
    keyValues(field, 6);
    columnType(field);
    for (const child of field.tables(5)) visit(child, depth + 1);
  };
  for (const field of schema.tables(1)) visit(field, 0);
  return depths;
}

function columnType(field: Table): void {
  const id = field.number(2, "u8");
  const type = field.table(3);
  if (!type) throw new Error("a field has no type");
  if (id === TIMESTAMP) type.vector(1, 1, 1);
  if (id === UNION) type.vector(1, 4, 4);
  // A decoder raises ten to the scale's power before anything is asked of the column.
  if (id === DECIMAL && Math.abs(type.number(1, "i32")) > 76) throw new Error("a decimal has a scale past 76");
}

function keyValues(table: Table, field: number): void {
  for (const pair of table.tables(field)) {
    pair.vector(0, 1, 1);
    pair.vector(1, 1, 1);
  }
}
