// Python that opens the run on screen and reads from its step.
import { openLine } from "./layer/python";
import type { Shown } from "./view";

/** Lines that go on from `step`, the recorded step with the shown input, as a whole program. */
export function pythonOf({ session, run, state }: Shown, lines: readonly string[]): string {
  const name = session.runs.find((one) => one.id === run)?.name ?? run;
  const step = `step = run.read(step=${state.step}, input=${state.input})`;
  return ["import attnlog", "", openLine("run", name), step, ...lines].join("\n");
}
