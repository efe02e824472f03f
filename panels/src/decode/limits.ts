// The sizes past which this reader refuses an asset before it allocates anything.

export const FORMAT_VERSION = 1;

export interface Limits {
  /** Longest file or byte range, in bytes. */
  bytes: number;
  /** Largest sum of decompressed buffers, in bytes. */
  decoded: number;
  /** Longest manifest line, in bytes of text. */
  line: number;
  /** Most rows of an asset, and most texts in a column of it: each becomes an object. */
  rows: number;
  /** Most columns of a schema, nested ones included. */
  columns: number;
  /** Most record batches of an asset. */
  batches: number;
  /** Most columns times record batches: each becomes an object. */
  nodes: number;
}

export const LIMITS: Limits = {
  bytes: 2 ** 30,
  decoded: 2 ** 31,
  line: 16_000_000,
  rows: 2 ** 24,
  columns: 2 ** 12,
  batches: 2 ** 17,
  nodes: 2 ** 22,
};
