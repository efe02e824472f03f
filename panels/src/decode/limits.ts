// The sizes past which this reader refuses an asset before it allocates anything.

export const FORMAT_VERSION = 1;

export interface Limits {
  /** Longest file or byte range, in bytes. */
  bytes: number;
  /** Largest sum of decompressed buffers, in bytes. */
  decoded: number;
  /** Longest manifest line, in bytes of text. */
  line: number;
}

export const LIMITS: Limits = { bytes: 2 ** 30, decoded: 2 ** 31, line: 16_000_000 };
