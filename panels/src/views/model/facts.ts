// Words and numbers under the grid: one head's metrics, and which heads stand out by each.
import type { Metric } from "../../decode/types";
import { kindsOf, metricsOf, rowOf, type Scene } from "../../session/scene";
import { h, percent, short } from "../../ui/dom";
import type { Place } from "./order";

export const UNITS: Partial<Record<Metric, string>> = { entropy: "bits", distance: "tokens" };

export const MEANING: Record<Metric, string> = {
  entropy: "how widely a query spreads its attention",
  distance: "mean distance of what is attended to",
  previous: "weight on the token before",
  next: "weight on the token after",
  self: "weight on the token itself",
  first: "weight on the first token (attention sink)",
  separator: "weight on special tokens other than the first",
  induction: "weight on what followed the same token earlier",
};

/** One head in words: what the index says of it. */
export function headFacts(scene: Scene, input: number, kind: string, place: Place): HTMLElement {
  const row = rowOf(scene, input, kind, place.layer, place.head);
  const { index } = scene;
  const box = h("div", { class: "facts" }, h("b", {}, `Layer ${place.layer}, head ${place.head}`));
  if (row < 0) return box;
  const group = index.group[row]!;
  if (group !== place.head) box.append(h("span", { class: "dim" }, ` reads key group ${group}`));
  const list = h("dl");
  for (const [name, value] of metricsOf(scene, row)) {
    list.append(
      h(
        "div",
        { title: MEANING[name] },
        h("dt", {}, name),
        h("dd", {}, `${short(value)}${UNITS[name] ? ` ${UNITS[name]}` : ""}`),
      ),
    );
  }
  const leftOut = index.leftOut[row]!;
  if (!Number.isNaN(leftOut)) {
    const title = "mass of a row on keys whose weights are not stored, on average";
    list.append(h("div", { title }, h("dt", {}, "left out"), h("dd", {}, percent(leftOut))));
  }
  box.append(list);
  return box;
}

/** One head in words, on one line for each metric, and what else is to be said of it: beside the pointer. */
export function headHint(scene: Scene, input: number, kind: string, place: Place, more = ""): HTMLElement[] {
  const row = rowOf(scene, input, kind, place.layer, place.head);
  const named = h("b", {}, `Layer ${place.layer}, head ${place.head}`);
  if (row < 0) return [named];
  const values = metricsOf(scene, row).flatMap(([name, value]) => [
    h("span", { class: "dim" }, name),
    h("span", {}, `${short(value)}${UNITS[name] ? ` ${UNITS[name]}` : ""}`),
  ]);
  const said = more ? [h("div", {}, more)] : [];
  return [named, ...said, h("div", { class: "hint-values" }, ...values)];
}

const STANDOUT: Metric[] = ["induction", "previous", "next", "self", "first", "separator"];

/** The strongest head of each metric, as buttons. */
export function standouts(scene: Scene, input: number, kind: string, pick: (place: Place) => void): HTMLElement {
  const box = h("div", { class: "standouts" });
  const layers = kindsOf(scene, input).find((one) => one.kind === kind)?.layers ?? [];
  for (const name of STANDOUT) {
    let best: Place | null = null;
    let most = 0.05;
    for (const layer of layers) {
      layer.rows.forEach((row, i) => {
        const value = scene.index.metrics[name][row]!;
        if (value > most) {
          most = value;
          best = { layer: layer.layer, head: layer.heads[i]! };
        }
      });
    }
    if (!best) continue;
    const found: Place = best;
    box.append(
      h(
        "button",
        { type: "button", class: "standout", title: `${name}: ${MEANING[name]}`, onclick: () => pick(found) },
        h("span", {}, name),
        h("span", { class: "dim" }, `layer ${found.layer}, head ${found.head}`),
        h("span", { class: "num" }, short(most)),
      ),
    );
  }
  if (box.childElementCount > 0) box.prepend(h("h3", {}, "Heads that stand out"));
  return box;
}

/** What was asked for and is not there, each with its reason; null when nothing is missing. */
export function notRecorded(scene: Scene): HTMLElement | null {
  const { complete, missing, step } = scene.commit;
  const said = missing.map((one) => {
    const place = [one.kind, one.layer === null ? "" : `layer ${one.layer}`].filter(Boolean).join(" ");
    return `${one.what}${place ? ` of ${place}` : ""}: ${one.reason}`;
  });
  if (!complete) said.unshift(`weights and vectors of step ${step}: left out to stay within the run's budget`);
  if (said.length === 0) return null;
  return h(
    "details",
    { class: "not-recorded" },
    h("summary", {}, `Not recorded (${said.length})`),
    h("ul", {}, ...said.slice(0, 50).map((text) => h("li", {}, text))),
  );
}
