// What views of one layer say of their weights: what was cut off, what is not stored, and what two sides do not share.
import type { SparseLayer, WeightLayer } from "../../decode/types";
import { keyAxis, kindName, queryAxis } from "../../session/kinds";
import { axisOf, findLayer } from "../../session/scene";
import { type HeadRows, meanLeftOut } from "../../session/weights";
import { chosenHeads } from "../../session/state";
import { h, percent } from "../../ui/dom";
import { type Item, positionOf } from "../../session/shape/items";
import type { Shaped } from "../../session/shape/shape";
import type { Shown } from "../view";
import type { Pointed } from "../head/lines";

/** Of the whole layer: "stored sparse: the top keys of each row (64, or 99 % of its mass); …". */
export function sparseWords(layer: SparseLayer, leftOut: number): string {
  const kept = [
    layer.top === null ? "" : String(layer.top),
    layer.mass === null ? "" : `${percent(layer.mass)} of its mass`,
  ].filter(Boolean);
  const which = kept.length > 0 ? ` (${kept.join(", or ")})` : "";
  return `Stored sparse: the top keys of each row${which}; ${percent(leftOut)} of the mass is left out on average.`;
}

const thousands = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");

const span = (values: number[], text: (value: number) => string): string => {
  const low = text(Math.min(...values));
  const high = text(Math.max(...values));
  return low === high ? low : `${low} to ${high}`;
};

/** Of the token pointed at: how much of its row is stored, or which rows store it. */
export function pointedWords(
  heads: readonly HeadRows[],
  { queries, keys }: { queries: readonly Item[]; keys: readonly Item[] },
  pointed: Pointed | null,
): string {
  if (!pointed || heads.length === 0) return "Point at a token to see what of its row is stored.";
  const each = heads.length > 1 ? " in each head" : "";
  if (pointed.side === "query") {
    const query = pointed.at;
    const stored = span(
      heads.map((one) => one.stored(query)),
      thousands,
    );
    const leftOut = span(
      heads.map((one) => one.leftOut(query)),
      percent,
    );
    return `Query ${positionOf(queries[query]!)}: ${stored} keys stored${each}; ${leftOut} of its mass is on keys that are not.`;
  }
  const key = pointed.at;
  const stored = queries.filter((_, query) => heads.some((one) => one.at(query, key) !== null)).length;
  return `Key ${positionOf(keys[key]!)}: stored by ${thousands(stored)} of ${thousands(queries.length)} queries.`;
}

/** Layer, heads and kind, as a view's title; its name where there is no such layer. */
export function layerTitle({ state, scene, other }: Shown, name: string): HTMLElement[] {
  if (!findLayer(scene, state.input, state.kind, state.layer))
    return [h("b", {}, name), h("span", { class: "dim" }, "")];
  const heads = chosenHeads(state, scene);
  const which = state.heads ? `head${heads.length > 1 ? "s" : ""} ${heads.join(", ")}` : `all ${heads.length} heads`;
  const kind = state.kind === "self" ? "" : ` · ${kindName(state.kind)}`;
  const side = other ? "B − A, " : "";
  return [h("b", {}, `Layer ${state.layer}`), h("span", { class: "dim" }, `${side}${which}${kind}`)];
}

/** All that has to be known to read a picture of this layer's weights. */
export function layerWords({ state, scene, other }: Shown, layer: WeightLayer, shaped: Shaped): string {
  const left = axisOf(scene, state.input, queryAxis(state.kind));
  const right = axisOf(scene, state.input, keyAxis(state.kind));
  const calls = findLayer(scene, state.input, state.kind, state.layer)?.calls ?? 1;
  const said = [
    ...(other ? comparedWords(shaped) : []),
    layer.stored === "sparse" ? sparseWords(layer, meanLeftOut(shaped)) : "",
    cutWords(left?.cut ?? 0, "query"),
    left === right ? "" : cutWords(right?.cut ?? 0, "key"),
    calls > 1 ? `This layer computed attention ${calls} times in one forward; the first is shown.` : "",
  ];
  return said.filter(Boolean).join(" ");
}

function cutWords(cut: number, side: string): string {
  return cut ? `${cut} more ${side} tokens were cut off when this was recorded (max_tokens).` : "";
}

/** What of two sides cannot be compared. */
function comparedWords({ queries, keys, aligned, absent, sparse }: Shaped): string[] {
  const alone = (items: Shaped["queries"]): number => items.filter((one) => !one.a || !one.b).length;
  const [q, k] = [alone(queries), alone(keys)];
  const share = keys.length > 0 ? percent(1 - k / keys.length) : "";
  return [
    "Blue: greater in B. Orange: greater in A.",
    q + k > 0
      ? `${q} query and ${k} key tokens are in one of both only and have no difference (${share} of keys are in both).`
      : "",
    aligned ? "" : "The texts are too long and too different to be aligned but for their beginning and end.",
    absent.length > 0 ? `B has no head ${absent.join(", ")}.` : "",
    sparse ? "Differences are known where both sides store the weight." : "",
  ];
}
