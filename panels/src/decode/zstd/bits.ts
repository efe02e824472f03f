// Bit streams of zstd (RFC 8878): one read forwards, one read backwards from its last set bit; both refuse to pass their ends.

export class ZstdError extends Error {}

export function fail(what: string): never {
  throw new ZstdError(`a zstd buffer is damaged: ${what}`);
}

/** Number of the highest set bit of a number above 0. */
export const highBit = (value: number): number => 31 - Math.clz32(value);

/** Bits from the lowest of the first byte on. */
export class ForwardBits {
  private at: number;

  constructor(
    private readonly bytes: Uint8Array,
    from: number,
    private readonly end: number,
  ) {
    this.at = from * 8;
  }

  /** Up to 16 bits. */
  read(count: number): number {
    const { bytes, at } = this;
    if (at + count > this.end * 8) fail("a table passes its end");
    const byte = at >> 3;
    const word = bytes[byte]! | (bytes[byte + 1]! << 8) | (bytes[byte + 2]! << 16);
    this.at += count;
    return (word >> (at & 7)) & ((1 << count) - 1);
  }

  /** Gives back the highest of the bits read last. */
  unread(count: number): void {
    this.at -= count;
  }

  /** The first whole byte after what was read. */
  get byte(): number {
    return (this.at + 7) >> 3;
  }
}

/**
 * Bits from the last byte's highest set bit down to the first byte's lowest. `bytes` must have room for two more bytes
 * after `end`, whatever they hold.
 */
export class BackwardBits {
  /** Bits that are left. */
  left: number;

  constructor(
    readonly bytes: Uint8Array,
    readonly from: number,
    end: number,
  ) {
    const last = end > from ? bytes[end - 1]! : 0;
    if (last === 0) fail("a bit stream does not say where it begins");
    this.left = (end - from) * 8 - 8 + highBit(last);
  }

  /** Up to 16 bits. */
  read(count: number): number {
    const left = this.left - count;
    if (left < 0) fail("a bit stream is too short");
    this.left = left;
    const { bytes } = this;
    const byte = this.from + (left >> 3);
    const word = bytes[byte]! | (bytes[byte + 1]! << 8) | (bytes[byte + 2]! << 16);
    return (word >> (left & 7)) & ((1 << count) - 1);
  }
}
