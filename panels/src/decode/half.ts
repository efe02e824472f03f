// Float16 and square-root codes to float32, by tables: a layer has millions of them.

let halves: Float32Array | null = null;

/** Value of each float16 bit pattern. */
export function halfTable(): Float32Array {
  if (halves) return halves;
  const table = new Float32Array(65536);
  for (let v = 0; v < 65536; v++) {
    const sign = v & 0x8000 ? -1 : 1;
    const exponent = (v >> 10) & 0x1f;
    const fraction = v & 0x3ff;
    if (exponent === 0x1f) table[v] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else if (exponent === 0) table[v] = sign * fraction * 2 ** -24;
    else table[v] = sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  }
  halves = table;
  return table;
}

/** float16 bit patterns → float32 values. */
export function fromHalf(codes: Uint16Array): Float32Array {
  const table = halfTable();
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = table[codes[i]!]!;
  return values;
}

/** Weight of each uint8 code: (c/255)². */
export const ROOT_TABLE = Float32Array.from({ length: 256 }, (_, c) => (c / 255) ** 2);

export function fromRoot(codes: Uint8Array): Float32Array {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = ROOT_TABLE[codes[i]!]!;
  return values;
}
