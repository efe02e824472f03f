// Why a section has nothing to show, and what to do that it has next time.
import { NotRecordedError } from "../../decode/errors";
import type { Scene } from "../../session/scene";
import { axisName } from "../../session/kinds";

/** What sections lack: as the commit's list of missing things calls it, and what to record. */
const WANTED = {
  saliency: { name: "Saliency", verb: "was", said: ["saliency"], record: "saliency" },
  states: { name: "Statistics of hidden states", verb: "were", said: ["hidden states"], record: "states" },
  predictions: {
    name: "Predictions and losses",
    verb: "were",
    said: ["predictions", "loss per token"],
    record: "predictions",
  },
} as const;

/** Of an axis of the shown input; `others` are axes of it that have what this one lacks. */
export function absent(scene: Scene, what: keyof typeof WANTED, axis: string, others: string[]): NotRecordedError {
  const { commit } = scene;
  const { name, verb, said, record } = WANTED[what];
  const reasons = commit.missing
    .filter((one) => one.kind === axis && (said as readonly string[]).includes(one.what))
    .map((one) => one.reason);
  if (reasons.length > 0)
    return new NotRecordedError(
      `${name} of ${axisName(axis)} ${verb} not recorded: ${[...new Set(reasons)].join("; ")}.`,
    );
  if (others.length > 0) {
    return new NotRecordedError(
      `${name} of ${axisName(axis)} ${verb} not recorded.`,
      `This input has them of: ${others.map(axisName).join(", ")}. Choose that axis above.`,
    );
  }
  return new NotRecordedError(
    `${name} of this input ${verb} not recorded at step ${commit.step}.`,
    `Record ${verb === "was" ? "it" : "them"} with record=("attention", "vectors", "${record}").`,
  );
}
