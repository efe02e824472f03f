// A schema message written byte by byte, which no encoder would write.

/** Bytes that grow; numbers are little-endian and aligned to their size. */
class Writer {
  private readonly bytes: number[] = [];

  get at(): number {
    return this.bytes.length;
  }

  align(to: number): this {
    while (this.at % to !== 0) this.bytes.push(0);
    return this;
  }

  u16(value: number): this {
    this.bytes.push(value & 255, (value >> 8) & 255);
    return this;
  }

  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }

  put32(at: number, value: number): void {
    for (let i = 0; i < 4; i++) this.bytes[at + i] = (value >>> (8 * i)) & 255;
  }

  done(): number[] {
    return this.bytes;
  }
}

/** A table of 4-byte slots: its vtable, then itself; `fields` are the numbers of those that are set. */
function table(to: Writer, count: number, fields: number[]): { at: number; slot(field: number): number } {
  to.align(4);
  const vtable = to.at;
  to.u16(4 + 2 * count).u16(4 + 4 * fields.length);
  for (let i = 0; i < count; i++) to.u16(fields.includes(i) ? 4 + 4 * fields.indexOf(i) : 0);
  to.align(4);
  const at = to.at;
  to.u32(at - vtable);
  for (const _ of fields) to.u32(0);
  return { at, slot: (field) => at + 4 + 4 * fields.indexOf(field) };
}

/**
 * A file whose schema has `count` fields of `count` children of `count` children: a few kilobytes, because all of them are
 * the same three tables.
 */
export function fieldsThatMeet(count: number): { bytes: Uint8Array; decoded: number; rows: number } {
  const to = new Writer();
  to.u32(0);
  const message = table(to, 5, [0, 1, 2]);
  // Version 5 of Arrow's metadata (4), and a schema (1).
  to.put32(message.slot(0), 4);
  to.put32(message.slot(1), 1);
  const schema = table(to, 4, [1]);
  to.put32(0, message.at);
  to.put32(message.slot(2), schema.at - message.slot(2));
  let from = schema.slot(1);
  for (let level = 0; level < 3; level++) {
    const vector = to.align(4).at;
    to.put32(from, vector - from);
    to.u32(count);
    for (let i = 0; i < count; i++) to.u32(0);
    const field = table(to, 7, level < 2 ? [2, 3, 5] : [2, 3]);
    to.put32(field.slot(2), 12);
    const type = table(to, 0, []);
    to.put32(field.slot(3), type.at - field.slot(3));
    for (let i = 0; i < count; i++) to.put32(vector + 4 + 4 * i, field.at - (vector + 4 + 4 * i));
    if (level < 2) from = field.slot(5);
  }
  const metadata = to.align(8).done();
  const letters = [..."ARROW1"].map((letter) => letter.charCodeAt(0));
  const size = new Writer().u32(metadata.length).done();
  const mark = [255, 255, 255, 255];
  const bytes = [...letters, 0, 0, ...mark, ...size, ...metadata, ...mark, 0, 0, 0, 0, ...letters];
  return { bytes: Uint8Array.from(bytes), decoded: 1000, rows: 0 };
}
