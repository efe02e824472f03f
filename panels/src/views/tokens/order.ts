// The order of rows: as the tokens stand, or the greatest first.
import type { State } from "../../session/state";

export type Order = "order" | "size";

export const orderOf = (state: State): Order => (state.options["tokens.sort"] === "size" ? "size" : "order");

/** Positions by order; the greatest magnitudes first, equal ones as they stand, those without a value last. */
export function inOrder(values: ArrayLike<number>, order: Order): number[] {
  const list = Array.from({ length: values.length }, (_, i) => i);
  if (order === "order") return list;
  const size = (at: number): number => (Number.isNaN(values[at]!) ? -1 : Math.abs(values[at]!));
  return list.sort((a, b) => size(b) - size(a) || a - b);
}
