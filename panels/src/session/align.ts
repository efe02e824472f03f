// Which tokens of two texts are the same: the longest common subsequence, found by dynamic programming.

/** A token of A and one of B that are the same; −1 where the other has none. */
export type Aligned = readonly [number, number];

/** Cells of the table that is filled at most; texts that differ over more than this are aligned at their ends only. */
const MOST_CELLS = 8_000_000;

export interface Alignment {
  pairs: Aligned[];
  /** False where the texts are too long and too different to be aligned but for their ends. */
  whole: boolean;
}

export function align(a: readonly string[], b: readonly string[]): Alignment {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const pairs: [number, number][] = [];
  for (let i = 0; i < head; i++) pairs.push([i, i]);
  const n = a.length - head - tail;
  const m = b.length - head - tail;
  const whole = n * m <= MOST_CELLS;
  const middle = whole ? common(a, b, head, n, m) : [];
  let [i, j] = [head, head];
  for (const [p, q] of [...middle, [a.length - tail, b.length - tail] as const]) {
    while (i < p) pairs.push([i++, -1]);
    while (j < q) pairs.push([-1, j++]);
    if (p < a.length - tail) pairs.push([i++, j++]);
  }
  for (let t = 0; t < tail; t++) pairs.push([i + t, j + t]);
  return { pairs, whole };
}

/** The longest common subsequence of two stretches of `n` and `m` tokens that begin at `from`. */
function common(a: readonly string[], b: readonly string[], from: number, n: number, m: number): Aligned[] {
  const width = m + 1;
  const length = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      const here = i * width + j;
      length[here] =
        a[from + i] === b[from + j]
          ? length[here + width + 1]! + 1
          : Math.max(length[here + width]!, length[here + 1]!);
    }
  }
  const found: Aligned[] = [];
  for (let i = 0, j = 0; i < n && j < m; ) {
    if (a[from + i] === b[from + j]) found.push([from + i++, from + j++]);
    else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) i++;
    else j++;
  }
  return found;
}
