// What the head view says of weights that are stored sparse: what was kept, and how much was left out.
import type { SparseLayer } from "../../decode/types";
import type { HeadRows } from "../../session/weights";
import { percent } from "../../ui/dom";
import { type Item, positionOf } from "../../session/shape/items";
import type { Pointed } from "./lines";

/** Of the whole layer: "stored sparse: the top keys of each row (64, or 99 % of its mass); …". */
export function sparseWords(layer: SparseLayer, leftOut: number): string {
  const kept = [
    layer.top === null ? "" : String(layer.top),
    layer.mass === null ? "" : `${percent(layer.mass)} of its mass`,
  ].filter(Boolean);
  const which = kept.length > 0 ? ` (${kept.join(", or ")})` : "";
  return `Stored sparse: the top keys of each row${which}; ${percent(leftOut)} of the mass is left out on average.`;
}

const thousands = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");

const span = (values: number[], text: (value: number) => string): string => {
  const low = text(Math.min(...values));
  const high = text(Math.max(...values));
  return low === high ? low : `${low} to ${high}`;
};

/** Of the token pointed at: how much of its row is stored, or which rows store it. */
export function pointedWords(
  heads: readonly HeadRows[],
  { queries, keys }: { queries: readonly Item[]; keys: readonly Item[] },
  pointed: Pointed | null,
): string {
  if (!pointed || heads.length === 0) return "Point at a token to see what of its row is stored.";
  const each = heads.length > 1 ? " in each head" : "";
  if (pointed.side === "query") {
    const query = pointed.at;
    const stored = span(
      heads.map((one) => one.stored(query)),
      thousands,
    );
    const leftOut = span(
      heads.map((one) => one.leftOut(query)),
      percent,
    );
    return `Query ${positionOf(queries[query]!)}: ${stored} keys stored${each}; ${leftOut} of its mass is on keys that are not.`;
  }
  const key = pointed.at;
  const stored = queries.filter((_, query) => heads.some((one) => one.at(query, key) !== null)).length;
  return `Key ${positionOf(keys[key]!)}: stored by ${thousands(stored)} of ${thousands(queries.length)} queries.`;
}
