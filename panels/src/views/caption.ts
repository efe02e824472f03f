// What is drawn of which side, in words for captions and in short for names of files.
import { PAIR_NAMES, type Pair } from "../session/pair";
import type { Shown } from "./view";

/** `step 100, input 0`, or of two sides `B (step 200, input 0) − A (step 100, input 0)`, with runs where they differ. */
export function sidesWords({ state, other, session, run }: Shown): string {
  const a = `step ${state.step}, input ${state.input}`;
  if (!other) return a;
  const named = other.run.id !== run;
  const name = session.runs.find((one) => one.id === run)?.name ?? run;
  const b = `step ${other.scene.commit.step}, input ${other.input}`;
  return `B (${named ? `${other.run.name}, ` : ""}${b}) − A (${named ? `${name}, ` : ""}${a})`;
}

/** `step100-input0`, or `step200-input0-minus-step100-input0`. */
export function sidesName({ state, other }: Shown): string {
  const a = `step${state.step}-input${state.input}`;
  return other ? `step${other.scene.commit.step}-input${other.input}-minus-${a}` : a;
}

/** How weights were changed before they were drawn; empty where they are as recorded. */
export function shapingWords(wanted: { pair: Pair; words: boolean; special: boolean; normalise: boolean }): string {
  const said = [
    wanted.words ? "between words" : "",
    wanted.special ? "" : "without special tokens",
    wanted.normalise ? "rows normalised" : "",
    wanted.pair === "all" ? "" : PAIR_NAMES[wanted.pair],
  ].filter(Boolean);
  return said.length > 0 ? `, ${said.join(", ")}` : "";
}
