// The part of a matrix that is in sight: rows and columns, as it stands in an address.

export interface Region {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** `0-4,2-9`: rows and columns, ends excluded; the whole where it says nothing that fits. */
export function regionOf(text: string | undefined, rows: number, columns: number): Region {
  const whole = { top: 0, bottom: rows, left: 0, right: columns };
  const found = /^(\d{1,7})-(\d{1,7}),(\d{1,7})-(\d{1,7})$/.exec(text ?? "");
  if (!found) return whole;
  const [top, bottom, left, right] = found.slice(1).map(Number) as [number, number, number, number];
  if (top >= bottom || left >= right || bottom > rows || right > columns) return whole;
  return { top, bottom, left, right };
}

/** Null where it is the whole, which an address need not say. */
export function regionText(region: Region, rows: number, columns: number): string | null {
  const { top, bottom, left, right } = region;
  if (top === 0 && left === 0 && bottom === rows && right === columns) return null;
  return `${top}-${bottom},${left}-${right}`;
}

const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value));

/** A stretch of `size` that keeps `at` where it was in it, inside of `count`. */
function stretch(from: number, to: number, at: number, factor: number, count: number): [number, number] {
  const size = clamp(Math.round((to - from) * factor), Math.min(2, count), count);
  const share = to > from ? (at - from + 0.5) / (to - from) : 0.5;
  const first = clamp(Math.round(at + 0.5 - share * size), 0, count - size);
  return [first, first + size];
}

/** The region that many times as large, about a cell. */
export function zoomed(
  region: Region,
  cell: { row: number; column: number },
  factor: number,
  rows: number,
  columns: number,
): Region {
  const [top, bottom] = stretch(region.top, region.bottom, cell.row, factor, rows);
  const [left, right] = stretch(region.left, region.right, cell.column, factor, columns);
  return { top, bottom, left, right };
}

/** The region moved as little as it takes to hold a cell. */
export function holding(region: Region, row: number, column: number): Region {
  const move = (from: number, to: number, at: number): number => (at < from ? at - from : at >= to ? at - to + 1 : 0);
  const down = move(region.top, region.bottom, row);
  const right = move(region.left, region.right, column);
  return {
    top: region.top + down,
    bottom: region.bottom + down,
    left: region.left + right,
    right: region.right + right,
  };
}
