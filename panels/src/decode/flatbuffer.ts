// The little of FlatBuffers that walking Arrow's messages takes: tables, vectors and numbers, each checked to lie inside its message.

/** Bytes of one message. Every read is checked; nothing is read twice by way of two offsets that meet. */
export class Flat {
  private readonly view: DataView;
  private spent = 0;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.byteLength;
  }

  /** Fails unless `size` bytes from `at` lie inside. */
  inside(at: number, size: number): number {
    if (!(at >= 0 && size >= 0 && at + size <= this.length)) {
      throw new Error(`${size} bytes at ${at} lie outside a message of ${this.length}`);
    }
    return at;
  }

  aligned(at: number, size: number, to = size): number {
    if (at % to !== 0) throw new Error(`an offset of ${at} is not aligned to ${to} bytes`);
    return this.inside(at, size);
  }

  /**
   * Counts what is visited. Parts of an honest message do not overlap; offsets that meet could make a small one describe
   * more fields than anybody can visit.
   */
  visit(size: number): void {
    this.spent += size;
    if (this.spent > 2 * this.length) throw new Error("the parts of a message overlap");
  }

  u8(at: number): number {
    return this.view.getUint8(this.inside(at, 1));
  }
  u16(at: number): number {
    return this.view.getUint16(this.aligned(at, 2), true);
  }
  i16(at: number): number {
    return this.view.getInt16(this.aligned(at, 2), true);
  }
  u32(at: number): number {
    return this.view.getUint32(this.aligned(at, 4), true);
  }
  i32(at: number): number {
    return this.view.getInt32(this.aligned(at, 4), true);
  }
  i64(at: number): number {
    return readI64(this.view, this.aligned(at, 8));
  }
  root(): Table {
    return new Table(this, this.u32(0));
  }
}

/** A signed 64-bit number as a double: exact below 2⁵³, and beyond that still larger than any length that is allowed. */
export function readI64(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

/** A table: begins with an offset back to its vtable, which says where in the table each field lies, or 0. */
export class Table {
  private readonly vtable: number;
  private readonly fields: number;
  private readonly size: number;

  constructor(
    readonly flat: Flat,
    readonly at: number,
  ) {
    this.vtable = at - flat.i32(at);
    this.fields = flat.u16(this.vtable);
    this.size = flat.u16(this.vtable + 2);
    // Decoders take these as signed: what they would see as negative is refused.
    if (this.fields < 4 || this.fields % 2 !== 0 || this.fields > 0x7fff || this.size < 4 || this.size > 0x7fff) {
      throw new Error(`a vtable of ${this.fields} bytes for a table of ${this.size} bytes`);
    }
    flat.inside(this.vtable, this.fields);
    flat.inside(at, this.size);
    flat.visit(this.size);
    for (let entry = 4; entry < this.fields; entry += 2) {
      const offset = flat.u16(this.vtable + entry);
      if (offset !== 0 && (offset < 4 || offset >= this.size)) throw new Error("a field lies outside its table");
    }
  }

  /** Where a field lies; null when it is not set. */
  slot(field: number, size: number): number | null {
    const entry = 4 + 2 * field;
    if (entry + 2 > this.fields) return null;
    const offset = this.flat.u16(this.vtable + entry);
    if (offset === 0) return null;
    if (offset + size > this.size) throw new Error("a field passes the end of its table");
    return this.at + offset;
  }

  number(field: number, kind: "u8" | "i16" | "i32" | "i64", otherwise = 0): number {
    const at = this.slot(field, { u8: 1, i16: 2, i32: 4, i64: 8 }[kind]);
    return at === null ? otherwise : this.flat[kind](at);
  }

  table(field: number): Table | null {
    const at = this.slot(field, 4);
    return at === null ? null : new Table(this.flat, at + this.flat.u32(at));
  }

  tables(field: number): Table[] {
    const { start, count } = this.vector(field, 4, 4);
    return Array.from({ length: count }, (_, i) => {
      const at = start + 4 * i;
      return new Table(this.flat, at + this.flat.u32(at));
    });
  }

  /** A vector of items of `size` bytes, or a text (size 1): where it starts, and how many there are. */
  vector(field: number, size: number, align: number): { start: number; count: number } {
    const at = this.slot(field, 4);
    if (at === null) return { start: 0, count: 0 };
    const from = at + this.flat.u32(at);
    const count = this.flat.u32(from);
    const start = from + 4;
    if (count > 0) this.flat.aligned(start, count * size, align);
    this.flat.visit(4 + count * size);
    return { start, count };
  }
}
