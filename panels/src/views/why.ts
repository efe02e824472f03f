// Why something was not recorded, as one sentence from what the commit says.
import { NotRecordedError } from "../decode/errors";
import type { Scene } from "../session/scene";
import type { State } from "../session/state";

/** For views that lack `weights` or `vectors` of the layer they should show. */
export function why(scene: Scene, state: State, what: "weights" | "vectors"): NotRecordedError {
  const { commit } = scene;
  const name = what === "weights" ? "Weights" : "Queries and keys";
  const said = commit.missing.filter(
    (one) => one.kind === state.kind && (one.layer === null || one.layer === state.layer) && matches(one.what, what),
  );
  if (said.length > 0) {
    return new NotRecordedError(
      `${name} of layer ${state.layer} were not recorded: ${said.map((one) => one.reason).join("; ")}`,
    );
  }
  if (!commit.complete) {
    return new NotRecordedError(
      `At step ${commit.step} only metrics and small pictures were recorded, to stay within the run's budget.`,
      "The last step of a run is always whole. A larger budget= keeps more of them.",
    );
  }
  return new NotRecordedError(
    `${name} of layer ${state.layer} were not recorded at step ${commit.step}.`,
    what === "vectors" ? 'Record them with record=("attention", "vectors").' : "",
  );
}

function matches(text: string, what: "weights" | "vectors"): boolean {
  return what === "weights" ? /weight|attention/.test(text) : /vector|quer|key/.test(text);
}
