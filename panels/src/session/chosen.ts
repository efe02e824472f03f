// Which token and which head views explain that can explain only one of each.
import type { AxisTokens } from "../decode/types";
import type { Scene } from "./scene";
import { chosenHeads, firstHead, type State } from "./state";

/** The token shown first: the last that the tokenizer did not add. */
export function usualToken(count: number, special: readonly boolean[] | null): number {
  for (let i = count - 1; i >= 0; i--) if (!special?.[i]) return i;
  return Math.max(0, count - 1);
}

/** The chosen token of an axis of `count` tokens. */
export function chosenToken(chosen: number | null, count: number, axis: AxisTokens | null): number {
  return chosen !== null && chosen < count ? chosen : usualToken(count, axis?.special ?? null);
}

/** The head that is explained: the one picked for that among the chosen heads, else the first of them. */
export function explainedHead(state: State, scene: Scene): number {
  const picked = wholeNumber(state.options["neuron.head"]);
  return picked !== null && chosenHeads(state, scene).includes(picked) ? picked : firstHead(state, scene);
}

/** An option that is a whole number from 0; null where it is none. */
export function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
