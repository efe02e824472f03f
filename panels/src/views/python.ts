// Python that opens the runs on screen: what all views' code to copy begins with.
import type { Shown } from "./view";

/** A Python string. JSON's escapes are Python's, but for half a surrogate pair, which no name of ours holds. */
export const quoted = (text: string): string => JSON.stringify(text);

/** Imports, and each run by the variable it is opened as: people put the path or the tracker's name for what the host calls it. */
export function opening(runs: Readonly<Record<string, string | null>>, imports: readonly string[] = []): string[] {
  const opened = Object.entries(runs).flatMap(([variable, name]) =>
    name === null ? [] : [`${variable} = attnlog.open(${quoted(name)})`],
  );
  return [...imports.flatMap((one) => [one, ""]), "import attnlog", "", ...opened];
}

/** One step of an opened run with one input. */
export const reading = (run: string, step: number | null, input: number): string =>
  `${run}.read(step=${step}, input=${input})`;

/** Names of the shown run and, where another is compared with, of that. */
export function runsOf({ session, run, other }: Shown): { run: string; other: string | null } {
  const found = session.runs.find((one) => one.id === run);
  const place = (one: { name: string; place?: string }): string => one.place ?? one.name;
  return { run: found ? place(found) : run, other: other && other.run.id !== run ? place(other.run) : null };
}

/** Lines that go on from `step`, the recorded step with the shown input, as a whole program. */
export function pythonOf(shown: Shown, lines: readonly string[]): string {
  const { step, input } = shown.state;
  return [...opening({ run: runsOf(shown).run }), `step = ${reading("run", step, input)}`, ...lines].join("\n");
}
