// What stands on an axis as it is drawn: tokens or words, those that were chosen, and of two texts each side's.
import type { AxisTokens } from "../../decode/types";
import { type Alignment, align } from "../align";
import { wordsOf } from "../words";

/** Tokens from `start` to before `end`: one, or those of a word. */
export interface Span {
  start: number;
  end: number;
}

export interface Item {
  text: string;
  /** Where it stands in A and in B; null where that text has it not. */
  a: Span | null;
  b: Span | null;
  special: boolean;
  generated: boolean;
  /** What the position is, where its text says it in short. */
  label: string | undefined;
  id: number | undefined;
}

/** Which tokens stand on the axes, and how. */
export interface Choices {
  words: boolean;
  /** False leaves special tokens out. */
  special: boolean;
  /** Keep one text of a pair; null: both. */
  segment: number | null;
}

/** One axis of one side: its record, and how many tokens the weights say it has. */
export interface Side {
  axis: AxisTokens | null;
  length: number;
}

/** Items of one text. */
export function itemsOf({ axis, length }: Side, choices: Choices): Item[] {
  const spans: (Span & { text: string })[] =
    choices.words && axis
      ? wordsOf(axis)
      : Array.from({ length }, (_, n) => ({ text: axis?.tokens[n] ?? String(n), start: n, end: n + 1 }));
  const kept = spans.filter(
    ({ start }) =>
      (choices.special || !axis?.special?.[start]) &&
      (choices.segment === null || axis?.segments?.[start] === choices.segment),
  );
  return kept.map(({ text, start, end }) => ({
    text,
    a: { start, end },
    b: null,
    special: axis?.special?.[start] ?? false,
    generated: axis?.generated?.[start] ?? false,
    label: end - start === 1 ? axis?.labels?.[start] : undefined,
    id: end - start === 1 ? axis?.ids?.[start] : undefined,
  }));
}

export interface AlignedItems {
  items: Item[];
  /** False where the texts were aligned at their ends only. */
  whole: boolean;
}

/** What was aligned last, by the axis of A: views, layers and both axes of a kind ask for the same again. */
const known = new WeakMap<AxisTokens, { b: AxisTokens; choices: string; found: AlignedItems }[]>();
const KEPT = 4;

/** Items of two texts: those that are the same in both stand together, the others alone where they come. */
export function alignedItems(a: Side, b: Side, choices: Choices): AlignedItems {
  if (!a.axis || !b.axis) return aligned(a, b, choices);
  const list = known.get(a.axis) ?? [];
  const wanted = JSON.stringify([choices, a.length, b.length]);
  const before = list.find((one) => one.b === b.axis && one.choices === wanted);
  if (before) return before.found;
  const found = aligned(a, b, choices);
  known.set(a.axis, [{ b: b.axis, choices: wanted, found }, ...list].slice(0, KEPT));
  return found;
}

function aligned(a: Side, b: Side, choices: Choices): AlignedItems {
  const [left, right] = [itemsOf(a, choices), itemsOf(b, choices)];
  const { pairs, whole }: Alignment = align(
    left.map((one) => one.text),
    right.map((one) => one.text),
  );
  const items = pairs.map(([i, j]): Item => {
    const other = j < 0 ? null : right[j]!.a;
    return i < 0 ? { ...right[j]!, a: null, b: other } : { ...left[i]!, b: other };
  });
  return { items, whole };
}

/** The position that an item has for people: where it stands in A, else in B. */
export const positionOf = (item: Item): number => (item.a ?? item.b)?.start ?? 0;

/** The first item that holds a token of A; −1 where none does. */
export function itemAt(items: readonly Item[], position: number): number {
  return items.findIndex(({ a }) => a !== null && a.start <= position && position < a.end);
}

/** Whether each item is one token of a side, all of them and in order: then weights can be drawn as they are stored. */
export function isPlain(items: readonly Item[], length: number, side: "a" | "b" = "a"): boolean {
  const plain = (span: Span | null, n: number): boolean => span?.start === n && span.end === n + 1;
  return items.length === length && items.every((item, n) => plain(item[side], n));
}
