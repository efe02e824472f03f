// Arrow bytes → checked columns: names, types, nulls and list lengths are validated here, before any view sees a number.
import { type Table, tableFromIPC } from "@uwdata/flechette";
import { boolAt, checkBatch, type RawBatch, type RawType, typeName, validBits } from "./batches";
import { type Declared, walk } from "./bounds";
import { AssetSchemaError, AssetTooLarge, AssetValueError, AssetVersionError, AttnlogError } from "./errors";
import { FORMAT_VERSION, type Limits } from "./limits";
import { type AssetKind, type ColumnRule, SCHEMAS, type TypeName } from "./schema";
import "./zstd";

type Numbers = Uint8Array | Uint16Array | Uint32Array | Int8Array | Int32Array | Float32Array | Float64Array;

/** Rows of a list column as one array: row r is values[offsets[r] … offsets[r+1]). */
export interface ListColumn<T> {
  offsets: Uint32Array;
  values: T;
  /** Whether row r is null, or the column absent. */
  isNull(row: number): boolean;
}

interface RawColumn {
  type: RawType;
  batches: RawBatch[];
}

const DAMAGED = "The file is not in the attnlog format; copy the run again from where it was written.";

/** The columns of one decoded asset, found by name, each as its rule says. */
export class Columns {
  readonly length: number;

  private constructor(
    readonly asset: string,
    private readonly limits: Limits,
    readonly metadata: ReadonlyMap<string, string>,
    private readonly columns: ReadonlyMap<string, RawColumn>,
    /** Rows of each record batch. */
    readonly batches: number[],
  ) {
    this.length = batches.reduce((sum, rows) => sum + rows, 0);
  }

  static of(table: Table, kind: AssetKind, asset: string, limits: Limits): Columns {
    const raw = table.children as unknown as readonly { type: RawType; data: readonly RawBatch[] }[];
    const columns = new Map<string, RawColumn>();
    const made = new Columns(
      asset,
      limits,
      table.schema.metadata ?? new Map(),
      columns,
      (raw[0]?.data ?? []).map((batch) => batch.length),
    );
    const rules: ColumnRule[] = SCHEMAS[kind];
    for (const rule of rules) {
      const at = table.names.flatMap((name, i) => (name === rule.name ? [i] : []));
      const column = raw[at[0] ?? -1];
      if (at.length > 1) throw made.fail(`column "${rule.name}" is there ${at.length} times`);
      if (!column) {
        const together = rules.some((one) => one.absent === rule.absent && table.names.includes(one.name as never));
        if (rule.absent !== null && !together) continue;
        throw made.fail(`column "${rule.name}" is missing`);
      }
      columns.set(rule.name, { type: column.type, batches: [...column.data] });
      made.check(rule, column);
    }
    return made;
  }

  private check(rule: ColumnRule, { type, data }: { type: RawType; data: readonly RawBatch[] }): void {
    const found = typeName(type);
    if (!rule.types.includes(found as TypeName)) {
      throw this.fail(`column "${rule.name}" is ${found}, not ${rule.types.join(" or ")}`);
    }
    for (const batch of data) {
      if (batch.nullCount > 0 && !rule.nullable) throw this.fail(`column "${rule.name}" has nulls`);
      try {
        checkBatch(batch, type);
      } catch (error) {
        throw this.fail(`column "${rule.name}" ${(error as Error).message}`);
      }
    }
  }

  fail(what: string): AssetSchemaError {
    return new AssetSchemaError(`${this.asset}: ${what}`, DAMAGED);
  }

  refuse(what: string): AssetValueError {
    return new AssetValueError(
      `${this.asset}: ${what}`,
      "What was recorded is not what attention can be; record the step again.",
    );
  }

  get precision(): string | null {
    return this.metadata.get("attnlog.precision") ?? null;
  }

  /** Each record batch by itself. */
  split(): Columns[] {
    return this.batches.map((rows, i) => {
      const columns = new Map([...this.columns].map(([name, one]) => [name, { ...one, batches: [one.batches[i]!] }]));
      return new Columns(this.asset, this.limits, this.metadata, columns, [rows]);
    });
  }

  has(name: string): boolean {
    return this.columns.has(name);
  }

  /** The type of a column's items, for a list, or of the column. */
  type(name: string): string {
    const found = typeName(this.columns.get(name)?.type ?? { typeId: -1 });
    return found.startsWith("list<") ? found.slice(5, -1) : found;
  }

  private each(name: string, visit: (batch: RawBatch, first: number) => void): void {
    let first = 0;
    for (const batch of this.columns.get(name)?.batches ?? []) {
      visit(batch, first);
      first += batch.length;
    }
  }

  /** A number column without nulls. */
  numbers<T extends Numbers>(name: string, make: new (length: number) => T): T {
    const values = new make(this.length);
    this.each(name, (batch, first) => values.set((batch.values as T).subarray(0, batch.length) as never, first));
    return values;
  }

  /** A number column with NaN for null; 64-bit numbers have to be below 2⁵³. */
  nullable(name: string): Float64Array {
    const values = new Float64Array(this.length).fill(this.has(name) ? 0 : Number.NaN);
    this.each(name, (batch, first) => {
      const raw = batch.values as Numbers | BigUint64Array;
      const valid = validBits(batch);
      for (let row = 0; row < batch.length; row++) {
        const value = valid && !valid(row) ? Number.NaN : Number(raw[row]);
        if (value > Number.MAX_SAFE_INTEGER) throw this.fail(`column "${name}" holds a number past 2⁵³`);
        values[first + row] = value;
      }
    });
    return values;
  }

  /** A float32 column with NaN for null, of which each value that is there has to fit. */
  floats(name: string, fits: (value: number) => boolean): Float32Array {
    const values = new Float32Array(this.length).fill(Number.NaN);
    this.each(name, (batch, first) => {
      const raw = batch.values as Float32Array;
      const valid = validBits(batch);
      for (let row = 0; row < batch.length; row++) {
        if (valid && !valid(row)) continue;
        const value = raw[row]!;
        if (!fits(value)) throw this.refuse(`${name} of row ${first + row} is ${value}`);
        values[first + row] = value;
      }
    });
    return values;
  }

  booleans(name: string): (boolean | null)[] {
    const values: (boolean | null)[] = [];
    this.each(name, (batch) => {
      const valid = validBits(batch);
      for (let row = 0; row < batch.length; row++) values.push(valid && !valid(row) ? null : boolAt(batch, row));
    });
    return values;
  }

  texts(name: string): (string | null)[] {
    const values: (string | null)[] = [];
    this.each(name, (batch) => {
      const valid = validBits(batch);
      for (let row = 0; row < batch.length; row++)
        values.push(valid && !valid(row) ? null : this.text(name, batch, row));
    });
    return values;
  }

  private text(name: string, batch: RawBatch, row: number): string {
    const bytes = (batch.values as Uint8Array).subarray(batch.offsets![row]!, batch.offsets![row + 1]!);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.fail(`column "${name}" holds bytes that are no UTF-8`);
    }
  }

  /** A text column as codes into a list of its different values; −1 for null. */
  coded(name: string): { codes: Int32Array; names: string[] } {
    const codes = new Int32Array(this.length).fill(-1);
    const names: string[] = [];
    const known = new Map<string, number>();
    let last = "";
    let code = -1;
    this.each(name, (batch, first) => {
      const valid = validBits(batch);
      for (let row = 0; row < batch.length; row++) {
        if (valid && !valid(row)) continue;
        const text = this.text(name, batch, row);
        if (code < 0 || text !== last) {
          last = text;
          code = known.get(text) ?? names.push(text) - 1;
          known.set(text, code);
        }
        codes[first + row] = code;
      }
    });
    return { codes, names };
  }

  /** Lists row by row, for short columns of texts, ids and marks. */
  rows(name: string): (unknown[] | null)[] {
    const values: (unknown[] | null)[] = [];
    const item = this.type(name);
    this.each(name, (batch) => {
      const valid = validBits(batch);
      const child = batch.children?.[0] as RawBatch;
      if (child.length > this.limits.rows)
        throw new AssetTooLarge(`${this.asset} has more items than this viewer takes`);
      const raw = child.values as Numbers;
      for (let row = 0; row < batch.length; row++) {
        if (valid && !valid(row)) {
          values.push(null);
          continue;
        }
        const list: unknown[] = [];
        for (let at = batch.offsets![row]!; at < batch.offsets![row + 1]!; at++) {
          if (item === "utf8") list.push(this.text(name, child, at));
          else list.push(item === "bool" ? boolAt(child, at) : raw[at]);
        }
        values.push(list);
      }
    });
    return values;
  }

  /** A number list column without copying row by row; float16 stays in its bit patterns. */
  list<T extends Numbers>(name: string, make: new (length: number) => T): ListColumn<T> {
    const offsets = new Uint32Array(this.length + 1);
    let total = 0;
    this.each(name, ({ length, offsets: own }) => {
      if (length > 0) total += own![length]! - own![0]!;
    });
    const values = new make(total);
    const nulls = new Set<number>();
    let at = 0;
    this.each(name, (batch, first) => {
      const { length, offsets: own } = batch;
      if (length === 0) return;
      const start = own![0]!;
      const end = own![length]!;
      values.set((batch.children![0]!.values as T).subarray(start, end) as never, at);
      const valid = validBits(batch);
      for (let row = 0; row < length; row++) {
        offsets[first + row] = at + own![row]! - start;
        if (valid && !valid(row)) nulls.add(first + row);
      }
      at += end - start;
    });
    offsets[this.length] = at;
    return { offsets, values, isNull: (row) => !this.has(name) || nulls.has(row) };
  }
}

/** Strict, and with the byte order mark that a token may be. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Walks and decodes verified bytes (a file, or schema + batch + end marker), then checks metadata and columns. */
export function readColumns(bytes: Uint8Array, kind: AssetKind, declared: Declared): Columns {
  const { asset } = declared;
  const stream = walk(bytes, declared);
  let table: Table;
  try {
    table = tableFromIPC(stream, {});
  } catch (error) {
    if (error instanceof AttnlogError) throw error;
    throw new AssetSchemaError(`${asset} is not readable as Arrow: ${(error as Error).message}`, DAMAGED);
  }
  checkMetadata(table, kind, asset);
  return Columns.of(table, kind, asset, declared.limits);
}

function checkMetadata(table: Table, kind: AssetKind, asset: string): void {
  const { metadata } = table.schema;
  const said = metadata?.get("attnlog.format") ?? "";
  const version = /^\d+$/.test(said) ? Number(said) : Number.NaN;
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
}
