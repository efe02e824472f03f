// Arrow bytes → checked columns: names, types and list lengths are validated here, before any view sees a number.
import { type Table, Type, tableFromIPC } from "@uwdata/flechette";
import { AssetSchemaError, AssetVersionError, AttnlogError } from "./errors";
import { FORMAT_VERSION } from "./limits";
import { setBudget } from "./zstd";

type NumberArray = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

interface RawBatch {
  length: number;
  nullCount: number;
  offsets?: Int32Array;
  values?: Uint8Array | Uint16Array | Float32Array | Int32Array;
  children?: RawBatch[];
}

interface AnyType {
  typeId: number;
  bitWidth?: number;
  signed?: boolean;
  precision?: number;
  children?: { type: AnyType }[];
}

interface AnyColumn {
  length: number;
  nullCount: number;
  type: AnyType;
  data: readonly RawBatch[];
  at(i: number): unknown;
}

/** Rows of a list column as one array: row r is values[offsets[r] … offsets[r+1]). */
export interface ListColumn<T> {
  offsets: Uint32Array;
  values: T;
}

export type ItemName = "uint8" | "int32" | "float16" | "float32";

function typeName(type: AnyType): string {
  if (type.typeId === Type.Int) return `${type.signed ? "int" : "uint"}${type.bitWidth}`;
  if (type.typeId === Type.Float) return ["float16", "float32", "float64"][type.precision ?? 3] ?? "float?";
  if (type.typeId === Type.Utf8) return "utf8";
  if (type.typeId === Type.Bool) return "bool";
  if (type.typeId === Type.List) return `list<${typeName(type.children?.[0]?.type ?? { typeId: -1 })}>`;
  return `type ${type.typeId}`;
}

/** The columns of one decoded asset, found by name. */
export class Columns {
  readonly length: number;
  private readonly table: Table;
  private readonly asset: string;

  constructor(table: Table, asset: string) {
    this.table = table;
    this.asset = asset;
    this.length = table.numRows;
  }

  fail(what: string): AssetSchemaError {
    return new AssetSchemaError(
      `${this.asset}: ${what}`,
      "The file is not in the attnlog format; copy the run again from where it was written.",
    );
  }

  get precision(): string | null {
    return this.table.schema.metadata?.get("attnlog.precision") ?? null;
  }

  private column(name: string, types: string[]): AnyColumn {
    const column = this.table.getChild(name) as unknown as AnyColumn | undefined;
    if (!column) throw this.fail(`column "${name}" is missing`);
    const found = typeName(column.type);
    if (!types.includes(found)) throw this.fail(`column "${name}" is ${found}, not ${types.join(" or ")}`);
    return column;
  }

  /** A number column; NaN stands for null where nulls are allowed. */
  numbers<T extends NumberArray>(name: string, type: string, make: new (length: number) => T, nullable = false): T {
    const column = this.column(name, [type]);
    if (column.nullCount > 0 && !nullable) throw this.fail(`column "${name}" has nulls`);
    const values = new make(column.length);
    for (let i = 0; i < column.length; i++) values[i] = (column.at(i) as number | null) ?? Number.NaN;
    return values;
  }

  nullableNumbers(name: string, type: string): (number | null)[] {
    const column = this.column(name, [type]);
    return Array.from({ length: column.length }, (_, i) => column.at(i) as number | null);
  }

  booleans(name: string): (boolean | null)[] {
    const column = this.column(name, ["bool"]);
    return Array.from({ length: column.length }, (_, i) => column.at(i) as boolean | null);
  }

  texts(name: string): (string | null)[] {
    const column = this.column(name, ["utf8"]);
    return Array.from({ length: column.length }, (_, i) => column.at(i) as string | null);
  }

  /** A text column of few different values as codes into a list. */
  coded(name: string): { codes: Uint16Array; names: string[] } {
    const column = this.column(name, ["utf8"]);
    if (column.nullCount > 0) throw this.fail(`column "${name}" has nulls`);
    const codes = new Uint16Array(column.length);
    const names: string[] = [];
    const known = new Map<string, number>();
    for (let i = 0; i < column.length; i++) {
      const text = column.at(i) as string;
      let code = known.get(text);
      if (code === undefined) {
        code = names.push(text) - 1;
        known.set(text, code);
      }
      codes[i] = code;
    }
    return { codes, names };
  }

  /** Lists as the decoder gives them per row: for short columns of texts, ids and marks. */
  rows(name: string, item: string): (unknown[] | null)[] {
    const column = this.column(name, [`list<${item}>`]);
    return Array.from({ length: column.length }, (_, i) => {
      const value = column.at(i) as Iterable<unknown> | null;
      return value === null ? null : Array.from(value);
    });
  }

  listItem(name: string): ItemName {
    const column = this.column(name, ["list<uint8>", "list<float16>", "list<float32>", "list<int32>"]);
    return typeName(column.type).slice(5, -1) as ItemName;
  }

  /** A number list column without copying row by row; float16 stays in its bit patterns. */
  list<T extends Uint8Array | Uint16Array | Float32Array>(
    name: string,
    item: ItemName,
    make: new (length: number) => T,
  ): ListColumn<T> {
    const column = this.column(name, [`list<${item}>`]);
    if (column.nullCount > 0) throw this.fail(`column "${name}" has nulls`);
    const offsets = new Uint32Array(column.length + 1);
    let total = 0;
    for (const batch of column.data) total += batchSpan(batch).size;
    const values = new make(total);
    let row = 0;
    let at = 0;
    for (const batch of column.data) {
      const child = batch.children?.[0];
      if (!child || (child.nullCount ?? 0) > 0) throw this.fail(`column "${name}" has null items`);
      const { start, size } = batchSpan(batch);
      const source = child.values as T | undefined;
      if (!source || start + size > source.length) throw this.fail(`column "${name}" is shorter than its offsets say`);
      values.set(source.subarray(start, start + size), at);
      for (let i = 0; i < batch.length; i++) {
        const from = batch.offsets![i]! - start;
        const to = batch.offsets![i + 1]! - start;
        if (from < 0 || to < from || to > size) throw this.fail(`column "${name}" has offsets out of order`);
        offsets[row++] = at + from;
      }
      at += size;
    }
    offsets[row] = at;
    return { offsets, values };
  }
}

function batchSpan(batch: RawBatch): { start: number; size: number } {
  if (batch.length === 0 || !batch.offsets) return { start: 0, size: 0 };
  const start = batch.offsets[0]!;
  return { start, size: Math.max(0, batch.offsets[batch.length]! - start) };
}

/** Decodes verified bytes (a file, or schema + batch + end marker) and checks the metadata. */
export function readColumns(bytes: Uint8Array, kind: string, asset: string, decodedCap: number): Columns {
  // Writers count `decoded` before Arrow pads buffers and adds bitmaps: room for that, not for a bomb.
  setBudget(2 * decodedCap + 1_000_000);
  let table: Table;
  try {
    table = tableFromIPC(bytes, {});
  } catch (error) {
    if (error instanceof AttnlogError) {
      error.message = `${asset}: ${error.message}`;
      throw error;
    }
    throw new AssetSchemaError(`${asset}: not readable as Arrow (${(error as Error).message})`);
  }
  const metadata = table.schema.metadata;
  const version = Number(metadata?.get("attnlog.format") ?? Number.NaN);
  if (version > FORMAT_VERSION) {
    throw new AssetVersionError(
      `${asset} was written in format version ${version}; this viewer reads up to ${FORMAT_VERSION}`,
      "Open the run with a newer attnlog: pip install -U attnlog.",
    );
  }
  if (!(version >= 1)) throw new AssetSchemaError(`${asset}: attnlog.format is missing from the schema's metadata`);
  if (metadata?.get("attnlog.kind") !== kind) {
    throw new AssetSchemaError(`${asset}: holds ${metadata?.get("attnlog.kind") ?? "no kind"}, not ${kind}`);
  }
  return new Columns(table, asset);
}
