// Numbers that a trainer reported at the steps: which there are, which are drawn beside the heads, and which step was best.
import type { Commit } from "../../decode/types";

export interface Recorded {
  name: string;
  steps: number[];
  values: number[];
}

export const LOSS = "loss";
const EVAL_LOSS = "eval_loss";
/** Chosen: nothing at all. */
export const NOTHING = "none";
/** What the Trainer reports of its own speed with every evaluation says nothing of the model. */
const SPEED = /(^|_)(runtime|(samples|steps)_per_second|epoch)$/;

const numberOf = (commit: Commit, name: string): number | null =>
  name === LOSS ? commit.loss : (commit.metrics[name] ?? null);

/** Names of the numbers that any step has: losses, then the others by name. */
export function recordedNames(commits: readonly Commit[]): string[] {
  const names = new Set(commits.flatMap((one) => Object.keys(one.metrics)));
  for (const name of names) if (name === LOSS || SPEED.test(name)) names.delete(name);
  const rank = (name: string): number => (name === EVAL_LOSS ? 0 : isLoss(name) ? 1 : 2);
  const sorted = [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return commits.some((one) => one.loss !== null) ? [LOSS, ...sorted] : sorted;
}

/** Losses are of one kind, and share an axis. */
export const isLoss = (name: string): boolean => /(^|_)loss$/.test(name);

/** As people read it: `eval_loss` is "eval loss". */
export const spelled = (name: string): string => name.replaceAll("_", " ");

/** The names that an option holds, of those that there are; without one, the losses. */
export function chosenNames(option: string | undefined, known: readonly string[]): string[] {
  if (option === undefined) return known.filter((name) => name === LOSS || name === EVAL_LOSS);
  const wanted = new Set(option.split(","));
  return known.filter((name) => wanted.has(encode(name)));
}

/** An option that holds these names; null where they are what is drawn without one. */
export function namesOption(names: readonly string[], known: readonly string[]): string | null {
  const usual = chosenNames(undefined, known);
  if (names.length === usual.length && names.every((name) => usual.includes(name))) return null;
  return names.length > 0 ? names.map(encode).join(",") : NOTHING;
}

/** A comma in a name would end it. */
const encode = (name: string): string => name.replaceAll("%", "%25").replaceAll(",", "%2C");

export function recordedSeries(commits: readonly Commit[], names: readonly string[]): Recorded[] {
  return names.map((name) => {
    const known = commits.filter((one) => numberOf(one, name) !== null);
    return { name, steps: known.map((one) => one.step), values: known.map((one) => numberOf(one, name) as number) };
  });
}

export interface Best {
  step: number;
  name: string;
  value: number;
  checkpoint: string | null;
}

/**
 * The step with the least evaluation loss, the first of equals, as exports choose it too. Where a run evaluates on several
 * sets, no one loss decides, and none is best; nor where only one step was evaluated.
 */
export function bestStep(commits: readonly Commit[]): Best | null {
  const losses = recordedNames(commits).filter((name) => name.startsWith("eval_") && isLoss(name));
  const name = losses.includes(EVAL_LOSS) ? EVAL_LOSS : losses.length === 1 ? losses[0]! : null;
  if (name === null) return null;
  const known = commits.filter((one) => one.metrics[name] !== undefined);
  if (known.length < 2) return null;
  const best = known.reduce((least, one) => (one.metrics[name]! < least.metrics[name]! ? one : least));
  return { step: best.step, name, value: best.metrics[name]!, checkpoint: best.checkpoint };
}
