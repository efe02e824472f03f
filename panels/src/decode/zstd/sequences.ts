// The sequences of a zstd block: so many literals, then a match from what was written before (RFC 8878, 3.1.1.3.2).
import { BackwardBits, fail } from "./bits";
import { type FseTable, makeFse, oneSymbol, readFse } from "./fse";
import { BLOCK, type HuffmanTable, readLiterals } from "./literals";

/** What a block takes over from the one before. */
export interface Carried {
  huffman: HuffmanTable | null;
  /** Tables of literal lengths, offsets and match lengths. */
  tables: (FseTable | null)[];
  offsets: [number, number, number];
  scratch: Uint8Array;
}

const span = (from: number, bits: number[]): { bits: Uint8Array; base: Uint32Array } => {
  const base = new Uint32Array(bits.length);
  let at = from;
  bits.forEach((width, code) => {
    base[code] = at;
    at += 2 ** width;
  });
  return { bits: Uint8Array.from(bits), base };
};
const zeros = (count: number): number[] => new Array<number>(count).fill(0);

const LENGTHS = span(0, [...zeros(16), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const MATCHES = span(3, [...zeros(32), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

/** The tables used where a block brings none, and how large a table that it brings may be: lengths, offsets, matches. */
const KINDS = [
  {
    most: { log: 9, symbol: 35 },
    usual: makeFse(
      [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1],
      6,
    ),
  },
  {
    most: { log: 8, symbol: 31 },
    usual: makeFse([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5),
  },
  {
    most: { log: 9, symbol: 52 },
    usual: makeFse(
      [
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
      ],
      6,
    ),
  },
];

/** Decodes a compressed block to `out` from `at` on; answers where it ends. `block` has room after its `length`. */
export function decodeBlock(block: Uint8Array, length: number, carried: Carried, out: Uint8Array, at: number): number {
  const literals = readLiterals(block, length, carried.huffman, carried.scratch);
  carried.huffman = literals.table;
  const stop = Math.min(out.length, at + BLOCK);
  let from = literals.end;
  if (from >= length) fail("a block has no sequences section");
  let count = block[from++]!;
  if (count > 127) {
    const long = count === 255;
    if (from + (long ? 2 : 1) > length) fail("a block is too short");
    count = long ? block[from]! + (block[from + 1]! << 8) + 0x7f00 : ((count - 128) << 8) + block[from]!;
    from += long ? 2 : 1;
  }
  const copy = (size: number, source: number): void => {
    if (at + size > stop) fail("a block is longer than its buffer");
    const begin = literals.from + source;
    if (size > 16) out.set(literals.bytes.subarray(begin, begin + size), at);
    else for (let i = 0; i < size; i++) out[at + i] = literals.bytes[begin + i]!;
    at += size;
  };
  let used = 0;
  if (count === 0) {
    if (from !== length) fail("bytes follow a block");
  } else {
    from = readTables(block, from, length, carried.tables);
    const [lengths, offsets, matches] = carried.tables as [FseTable, FseTable, FseTable];
    const bits = new BackwardBits(block, from, length);
    let lengthState = bits.read(lengths.log);
    let offsetState = bits.read(offsets.log);
    let matchState = bits.read(matches.log);
    // Millions of sequences: what one takes is checked once, and read from its low end up, few loads for all fields.
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    let left = bits.left;
    for (let i = 1; i <= count; i++) {
      const offsetCode = offsets.symbols[offsetState]!;
      const matchCode = matches.symbols[matchState]!;
      const lengthCode = lengths.symbols[lengthState]!;
      const matchBits = MATCHES.bits[matchCode]!;
      const lengthBits = LENGTHS.bits[lengthCode]!;
      const more = i < count;
      const offsetNext = more ? offsets.bits[offsetState]! : 0;
      const matchNext = more ? matches.bits[matchState]! : 0;
      const lengthNext = more ? lengths.bits[lengthState]! : 0;
      left -= offsetCode + matchBits + lengthBits + offsetNext + matchNext + lengthNext;
      if (left < 0) fail("sequences have too few bits");
      let bit = 8 * from + left;
      let word = view.getUint32(bit >> 3, true) >>> (bit & 7);
      offsetState = offsets.base[offsetState]! + (word & ((1 << offsetNext) - 1));
      matchState = matches.base[matchState]! + ((word >>> offsetNext) & ((1 << matchNext) - 1));
      bit += offsetNext + matchNext;
      word = view.getUint32(bit >> 3, true) >>> (bit & 7);
      lengthState = lengths.base[lengthState]! + (word & ((1 << lengthNext) - 1));
      const some = LENGTHS.base[lengthCode]! + ((word >>> lengthNext) & ((1 << lengthBits) - 1));
      bit += lengthNext + lengthBits;
      word = view.getUint32(bit >> 3, true) >>> (bit & 7);
      const match = MATCHES.base[matchCode]! + (word & ((1 << matchBits) - 1));
      bit += matchBits;
      const rest = offsetCode <= 24 ? (view.getUint32(bit >> 3, true) >>> (bit & 7)) & ((1 << offsetCode) - 1) : -1;
      const value = ((1 << offsetCode) >>> 0) + (rest >= 0 ? rest : longBits(view, bit, offsetCode));
      const offset = distance(value, some, carried.offsets);
      if (used + some > literals.length) fail("a block has too few literals");
      copy(some, used);
      used += some;
      if (!(offset > 0 && offset <= at) || at + match > stop) fail("a match lies outside its buffer");
      if (offset >= match && match > 24) out.copyWithin(at, at - offset, at - offset + match);
      else for (let j = at, end = at + match; j < end; j++) out[j] = out[j - offset]!;
      at += match;
    }
    if (left !== 0) fail("sequences do not use up their bits");
  }
  copy(literals.length - used, used);
  return at;
}

/** Reads which table codes lengths, offsets and matches: the usual one, one symbol, a new one, or that of before. */
function readTables(block: Uint8Array, start: number, length: number, tables: (FseTable | null)[]): number {
  let from = start + 1;
  if (from > length) fail("a block is too short");
  const modes = block[start]!;
  if ((modes & 3) !== 0) fail("a reserved bit is set");
  KINDS.forEach(({ most, usual }, kind) => {
    const mode = (modes >> (6 - 2 * kind)) & 3;
    if (mode === 0) tables[kind] = usual;
    else if (mode === 1) {
      const symbol = from < length ? block[from++]! : 255;
      if (symbol > most.symbol) fail("a symbol is unknown");
      tables[kind] = oneSymbol(symbol);
    } else if (mode === 2) {
      const read = readFse(block, from, length, most);
      tables[kind] = read.table;
      from = read.end;
    } else if (!tables[kind]) fail("a block repeats a table that there is not");
  });
  return from;
}

/** 25 to 31 bits from `bit` on. */
function longBits(view: DataView, bit: number, count: number): number {
  const low = (view.getUint32(bit >> 3, true) >>> (bit & 7)) & 0xffff;
  const high = view.getUint32((bit >> 3) + 2, true) >>> (bit & 7);
  return (high & ((1 << (count - 16)) - 1)) * 65_536 + low;
}

/** How far back a match lies: given, or one of the last three distances. */
function distance(value: number, literals: number, last: [number, number, number]): number {
  if (value > 3) {
    last[2] = last[1];
    last[1] = last[0];
    last[0] = value - 3;
    return last[0];
  }
  const which = value - 1 + (literals === 0 ? 1 : 0);
  if (which === 0) return last[0];
  const found = which === 3 ? last[0] - 1 : last[which]!;
  if (which > 1) last[2] = last[1];
  last[1] = last[0];
  last[0] = found;
  return found;
}
