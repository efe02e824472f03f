// Finite state entropy tables of zstd (RFC 8878, 4.1).
import { fail, ForwardBits, highBit } from "./bits";

/** For each state: the symbol it stands for, and how many bits added to which base give the next state. */
export interface FseTable {
  log: number;
  symbols: Uint8Array;
  bits: Uint8Array;
  base: Uint16Array;
}

/** Reads a table's description; answers the table and the byte after it. */
export function readFse(
  bytes: Uint8Array,
  from: number,
  end: number,
  most: { log: number; symbol: number },
): { table: FseTable; end: number } {
  const stream = new ForwardBits(bytes, from, end);
  const log = stream.read(4) + 5;
  if (log > most.log) fail("a table is too large");
  const counts: number[] = [];
  let remaining = 1 << log;
  while (remaining > 0) {
    const width = highBit(remaining + 1) + 1;
    let value = stream.read(width);
    // Values below the threshold take one bit less.
    const mask = (1 << (width - 1)) - 1;
    const threshold = (1 << width) - 2 - remaining;
    if ((value & mask) < threshold) {
      stream.unread(1);
      value &= mask;
    } else if (value > mask) value -= threshold;
    const count = value - 1;
    remaining -= Math.abs(count);
    counts.push(count);
    if (count === 0) {
      for (let more = 3; more === 3; ) {
        more = stream.read(2);
        for (let i = 0; i < more; i++) counts.push(0);
        if (counts.length > most.symbol + 1) fail("a table has too many symbols");
      }
    }
    if (counts.length > most.symbol + 1) fail("a table has too many symbols");
  }
  if (remaining !== 0) fail("a table's counts do not add up");
  return { table: makeFse(counts, log), end: stream.byte };
}

/** A table from how often each symbol stands in it; −1: once, with the whole state to follow. */
export function makeFse(counts: readonly number[], log: number): FseTable {
  const size = 1 << log;
  const table = { log, symbols: new Uint8Array(size), bits: new Uint8Array(size), base: new Uint16Array(size) };
  const { symbols, bits, base } = table;
  const next = new Uint16Array(counts.length);
  let high = size;
  counts.forEach((count, symbol) => {
    if (count === -1) {
      symbols[--high] = symbol;
      next[symbol] = 1;
    } else next[symbol] = count;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[at] = symbol;
      do at = (at + step) & (size - 1);
      while (at >= high);
    }
  });
  if (at !== 0) fail("a table's counts do not add up");
  for (let state = 0; state < size; state++) {
    const count = next[symbols[state]!]!++;
    const width = log - highBit(count);
    bits[state] = width;
    base[state] = (count << width) - size;
  }
  return table;
}

/** A table of one symbol, which takes no bits. */
export const oneSymbol = (symbol: number): FseTable => ({
  log: 0,
  symbols: Uint8Array.of(symbol),
  bits: new Uint8Array(1),
  base: new Uint16Array(1),
});
