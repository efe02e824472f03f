// The strongest weights among those that are drawn.
import type { HeadRows } from "../../session/weights";

export interface TopWeight {
  head: number;
  /** Items, counted as they are shown. */
  query: number;
  key: number;
  weight: number;
}

/** The strongest known weights of at least `least`, strongest first. */
export function topWeights(
  heads: readonly HeadRows[],
  shape: { queries: number; keys: number },
  count: number,
  least = 0,
): TopWeight[] {
  const top: TopWeight[] = [];
  for (const rows of heads) {
    for (let query = 0; query < shape.queries; query++) {
      const from = top.length >= count ? Math.abs(top[top.length - 1]!.weight) : least;
      rows.row(query, 0, shape.keys, from, (key, weight) => {
        const size = Math.abs(weight);
        if (size === 0 || (top.length >= count && size <= Math.abs(top[top.length - 1]!.weight))) return;
        let at = top.length;
        while (at > 0 && Math.abs(top[at - 1]!.weight) < size) at--;
        top.splice(at, 0, { head: rows.head, query, key, weight });
        if (top.length > count) top.pop();
      });
    }
  }
  return top;
}
