// Values collected into fewer cells: of those that share a cell the greatest by size stays.

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
    this.rowOf = Int32Array.from({ length: height }, (_, at) => cellOf(at, height, rows));
    this.columnOf = Int32Array.from({ length: width }, (_, at) => cellOf(at, width, columns));
  }

  add(row: number, column: number, value: number): void {
    const at = this.rowOf[row]! * this.columns + this.columnOf[column]!;
    const before = this.values[at]!;
    if (!(Math.abs(value) <= Math.abs(before))) this.values[at] = value;
  }
}

/** The cell, of no more of them than positions, that a position falls into: cell r begins at ⌊r · count / cells⌋. */
export const cellOf = (at: number, count: number, cells: number): number => Math.ceil(((at + 1) * cells) / count) - 1;
