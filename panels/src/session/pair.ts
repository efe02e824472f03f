// The pair filter: which query and key tokens are shown of a sentence pair.
import type { AxisTokens } from "../decode/types";

export const PAIRS = ["all", "aa", "ab", "ba", "bb"] as const;
export type Pair = (typeof PAIRS)[number];

export const PAIR_NAMES: Record<Pair, string> = { all: "all", aa: "A → A", ab: "A → B", ba: "B → A", bb: "B → B" };

/** Whether an axis has two texts to choose from. */
export function hasPair(axis: AxisTokens | null): boolean {
  return axis?.segments?.some((segment) => segment === 1) ?? false;
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** Positions of the query and key tokens that stay; separators keep the segment they carry. */
export function filterPair(
  pair: Pair,
  queries: number,
  keys: number,
  queryAxis: AxisTokens | null,
  keyAxis: AxisTokens | null,
): { queries: number[]; keys: number[] } {
  if (pair === "all" || !hasPair(queryAxis) || !hasPair(keyAxis)) return { queries: range(queries), keys: range(keys) };
  const wanted = (letter: string | undefined): number => (letter === "b" ? 1 : 0);
  const keep = (length: number, axis: AxisTokens | null, segment: number): number[] =>
    range(length).filter((i) => axis?.segments?.[i] === segment);
  return { queries: keep(queries, queryAxis, wanted(pair[0])), keys: keep(keys, keyAxis, wanted(pair[1])) };
}
