// Why something was not recorded, as one sentence from what the commit says.
import { NotRecordedError } from "../decode/errors";
import { kindsOf, type Scene } from "../session/scene";
import type { State } from "../session/state";

/** Assets that hold something beside attention, in words. */
const BESIDE = [
  ["states", "statistics of hidden states"],
  ["outputs", "predictions, losses or saliency"],
] as const;

/** For views that lack `weights` or `vectors` of the layer they should show. */
export function why(scene: Scene, state: State, what: "weights" | "vectors"): NotRecordedError {
  const { commit } = scene;
  if (kindsOf(scene, state.input).length === 0) return noAttention(scene);
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

/** Of a step that holds no heads at all, what it does hold. */
export function noAttention({ commit }: Scene): NotRecordedError {
  const there = BESIDE.filter(([kind]) => commit.assets.some((one) => one.kind === kind && one.rows > 0));
  const more = `Recorded there: ${there.map(([, name]) => name).join("; ")}. Python reads them: attnlog.open(…).read().`;
  return new NotRecordedError(
    `No attention was recorded at step ${commit.step}, so there are no heads to show.`,
    there.length > 0 ? more : "",
  );
}

function matches(text: string, what: "weights" | "vectors"): boolean {
  return what === "weights" ? /weight|attention/.test(text) : /vector|quer|key/.test(text);
}
