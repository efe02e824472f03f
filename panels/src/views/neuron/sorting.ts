// In which order neurons and keys stand: as they are stored, or by what they do for the shown query token.

/** The key of greatest weight; where no weight is known, of greatest q·k. −1: there is none. */
export function strongestKey(
  weights: ArrayLike<number> | null,
  qk: ArrayLike<number>,
  open: readonly boolean[],
): number {
  const greatest = (values: ArrayLike<number>): number => {
    let best = -1;
    for (let j = 0; j < open.length; j++) {
      const value = values[j]!;
      if (open[j] && !Number.isNaN(value) && (best < 0 || value > values[best]!)) best = j;
    }
    return best;
  };
  const best = weights ? greatest(weights) : -1;
  return best >= 0 ? best : greatest(qk);
}

/** Neurons by what they add to q·k of one key: those that raise it most first, those that lower it most last. */
export function byContribution(query: ArrayLike<number>, key: ArrayLike<number>): number[] {
  const adds = Array.from({ length: query.length }, (_, d) => query[d]! * key[d]!);
  return adds.map((_, d) => d).sort((a, b) => adds[b]! - adds[a]! || a - b);
}

/** Keys by weight, the greatest first; then those whose weight is not stored by their q·k; masked ones last. */
export function byWeight(weights: ArrayLike<number> | null, qk: ArrayLike<number>, open: readonly boolean[]): number[] {
  const rank = (j: number): [number, number] => {
    const weight = weights?.[j] ?? Number.NaN;
    if (!Number.isNaN(weight) && (open[j] || weight > 0)) return [0, -weight];
    return open[j] ? [1, -qk[j]!] : [2, 0];
  };
  return open
    .map((_, j) => ({ j, rank: rank(j) }))
    .sort((a, b) => a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1] || a.j - b.j)
    .map(({ j }) => j);
}

/** Values of some vectors with their components in another order. */
export function reordered(values: Float32Array, order: readonly number[] | null): Float32Array {
  return order ? Float32Array.from(order, (d) => values[d]!) : values;
}
