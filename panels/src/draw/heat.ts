// A matrix as pixels: greatest value of what falls on one, opacity by the root of the value, unknown cells hatched.
import type { Rgb } from "./colour";

/** Cells as they are painted: at most as many as there are pixels; NaN is a value that nobody knows. */
export interface Cells {
  rows: number;
  columns: number;
  values: Float32Array;
}

/** Collects values into cells: where several fall into one the greatest by size stays. */
export class Pool implements Cells {
  readonly values: Float32Array;
  private readonly rowOf: Int32Array;
  private readonly columnOf: Int32Array;

  constructor(
    height: number,
    width: number,
    readonly rows: number,
    readonly columns: number,
  ) {
    this.values = new Float32Array(rows * columns).fill(Number.NaN);
    this.rowOf = cellsOf(height, rows);
    this.columnOf = cellsOf(width, columns);
  }

  add(row: number, column: number, value: number): void {
    const at = this.rowOf[row]! * this.columns + this.columnOf[column]!;
    const before = this.values[at]!;
    if (!(Math.abs(value) <= Math.abs(before))) this.values[at] = value;
  }
}

/** Which of `cells` each of `count` positions falls into: cell r begins at ⌊r · count / cells⌋. */
function cellsOf(count: number, cells: number): Int32Array {
  const result = new Int32Array(count);
  for (let cell = 0; cell < cells; cell++) {
    const end = Math.floor(((cell + 1) * count) / cells);
    for (let at = Math.floor((cell * count) / cells); at < end; at++) result[at] = cell;
  }
  return result;
}

export interface Shades {
  colour: Rgb;
  /** Of values below 0. */
  negative: Rgb;
  unknown: Rgb;
  /** The value drawn in full colour. */
  scale: number;
  /** Least size that is drawn. */
  least: number;
}

/** Opacity of a value: the root, so that what is weak but patterned stays visible. */
export const shade = (value: number, scale: number): number =>
  scale > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / scale)) : 0;

const HATCH = 5;

export function heatPixels(
  cells: Cells,
  width: number,
  height: number,
  { colour, negative, unknown, scale, least }: Shades,
): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor((y * cells.rows) / height) * cells.columns;
    for (let x = 0; x < width; x++, at += 4) {
      const value = cells.values[row + Math.floor((x * cells.columns) / width)]!;
      if (Number.isNaN(value)) {
        if ((x + y) % HATCH > 1) continue;
        out.set(unknown, at);
        out[at + 3] = 90;
      } else if (Math.abs(value) >= least) {
        out.set(value < 0 ? negative : colour, at);
        out[at + 3] = 255 * shade(value, scale);
      }
    }
  }
  return out;
}
