// The literals of a zstd block: raw, one byte repeated, or Huffman-coded in one or four streams (RFC 8878, 3.1.1.3.1 and 4.2).
import { BackwardBits, fail, highBit } from "./bits";
import { readFse } from "./fse";

const MOST_BITS = 11;
/** No block, and so none of its literals, is longer. */
export const BLOCK = 131_072;

/** The symbol and the length of the code that each group of `log` bits begins with. */
export interface HuffmanTable {
  log: number;
  symbols: Uint8Array;
  bits: Uint8Array;
}

export interface Literals {
  bytes: Uint8Array;
  from: number;
  length: number;
  /** The byte after the section. */
  end: number;
  table: HuffmanTable | null;
}

/** Reads the literals section; `scratch` takes what has to be decoded. */
export function readLiterals(
  block: Uint8Array,
  length: number,
  before: HuffmanTable | null,
  scratch: Uint8Array,
): Literals {
  const first = block[0]!;
  const type = first & 3;
  const format = (first >> 2) & 3;
  // How many bytes the header takes: with literals as they are 1, 2, 1, 3, coded 3, 3, 4, 5.
  const header = type < 2 ? [1, 2, 1, 3][format]! : [3, 3, 4, 5][format]!;
  if (header > length) fail("a block is too short");
  const word = first | (block[1]! << 8) | (block[2]! << 16) | (block[3]! << 24);
  if (type < 2) {
    const size = format === 1 ? (word >> 4) & 0xfff : format === 3 ? (word >> 4) & 0xfffff : first >> 3;
    const end = header + (type === 0 ? size : 1);
    if (size > BLOCK || end > length) fail("literals pass their block");
    if (type === 1) scratch.fill(block[header]!, 0, size);
    return type === 0
      ? { bytes: block, from: header, length: size, end, table: before }
      : { bytes: scratch, from: 0, length: size, end, table: before };
  }
  const width = [10, 10, 14, 18][format]!;
  const size = (word >>> 4) & ((1 << width) - 1);
  const coded =
    format < 2 ? (word >>> 14) & 0x3ff : format === 2 ? word >>> 18 : ((word >>> 22) | (block[4]! << 10)) & 0x3ffff;
  const end = header + coded;
  if (size > BLOCK || end > length) fail("literals pass their block");
  let from = header;
  let table = before;
  if (type === 2) {
    const read = readHuffman(block, from, end);
    table = read.table;
    from = read.end;
  }
  if (!table) fail("literals have no table");
  const out = scratch.subarray(0, size);
  if (format === 0) decodeStream(block, from, end, out, table);
  else decodeFour(block, from, end, out, table);
  return { bytes: scratch, from: 0, length: size, end, table };
}

function readHuffman(bytes: Uint8Array, from: number, end: number): { table: HuffmanTable; end: number } {
  if (from >= end) fail("a Huffman table is missing");
  const header = bytes[from]!;
  const start = from + 1;
  const stop = start + (header < 128 ? header : (header - 126) >> 1);
  if (stop > end) fail("a Huffman table passes its block");
  if (header < 128) return { table: makeHuffman(codedWeights(bytes, start, stop)), end: stop };
  const weights: number[] = [];
  for (let i = 0; i < header - 127; i++) {
    const byte = bytes[start + (i >> 1)]!;
    weights.push(i % 2 === 0 ? byte >> 4 : byte & 15);
  }
  return { table: makeHuffman(weights), end: stop };
}

/** Weights coded by two states that take turns, until the bits are used up. */
function codedWeights(bytes: Uint8Array, from: number, end: number): number[] {
  const { table, end: start } = readFse(bytes, from, end, { log: 6, symbol: 255 });
  const stream = new BackwardBits(bytes, start, end);
  const states = [stream.read(table.log), stream.read(table.log)];
  const weights: number[] = [];
  for (let turn = 0; weights.length < 255; turn ^= 1) {
    const state = states[turn]!;
    weights.push(table.symbols[state]!);
    const width = table.bits[state]!;
    if (stream.left < width) {
      weights.push(table.symbols[states[turn ^ 1]!]!);
      return weights;
    }
    states[turn] = table.base[state]! + stream.read(width);
  }
  return fail("a Huffman table has too many weights");
}

function makeHuffman(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > MOST_BITS) fail("a Huffman code is too long");
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0 || weights.length > 255) fail("a Huffman table has no weights, or too many");
  const log = highBit(sum) + 1;
  const rest = (1 << log) - sum;
  if (log > MOST_BITS || (rest & (rest - 1)) !== 0) fail("Huffman weights do not add up");
  // The last symbol's weight is what is left of the whole.
  weights.push(highBit(rest) + 1);
  const table = { log, symbols: new Uint8Array(1 << log), bits: new Uint8Array(1 << log) };
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    weights.forEach((one, symbol) => {
      if (one !== weight) return;
      const span = 1 << (weight - 1);
      table.symbols.fill(symbol, at, at + span);
      table.bits.fill(log + 1 - weight, at, at + span);
      at += span;
    });
  }
  return table;
}

function decodeFour(block: Uint8Array, from: number, end: number, out: Uint8Array, table: HuffmanTable): void {
  if (from + 6 > end) fail("literals are too short");
  const share = (out.length + 3) >> 2;
  if (3 * share > out.length) fail("literals are too few for four streams");
  let at = from + 6;
  for (let stream = 0; stream < 4; stream++) {
    const jump = from + 2 * stream;
    const stop = stream < 3 ? at + (block[jump]! | (block[jump + 1]! << 8)) : end;
    if (stop > end) fail("a literals stream passes its block");
    decodeStream(block, at, stop, out.subarray(stream * share, stream < 3 ? (stream + 1) * share : undefined), table);
    at = stop;
  }
}

/** One stream, which must give exactly `out`. */
function decodeStream(block: Uint8Array, from: number, end: number, out: Uint8Array, table: HuffmanTable): void {
  const { log, symbols, bits } = table;
  const mask = (1 << log) - 1;
  let { left } = new BackwardBits(block, from, end);
  const { length } = out;
  let i = 0;
  // A whole group of bits is left: no check is needed for each symbol.
  for (; i < length && left >= log; i++) {
    const at = left - log;
    const byte = from + (at >> 3);
    const code = ((block[byte]! | (block[byte + 1]! << 8) | (block[byte + 2]! << 16)) >> (at & 7)) & mask;
    out[i] = symbols[code]!;
    left -= bits[code]!;
  }
  const head = block[from]! | (block[from + 1]! << 8);
  for (; i < length && left > 0; i++) {
    const code = (head & ((1 << left) - 1)) << (log - left);
    out[i] = symbols[code]!;
    left -= bits[code]!;
  }
  if (i !== length || left !== 0) fail("literals do not fill their stream");
}
