// The difference that the model view draws: small pictures of B − A and how far each head has moved, read layer by layer.
import type { SignedPicture } from "../../draw/thumbnails";
import { Drifts, type HeadDrift } from "../../session/drift";
import type { Pair } from "../../session/pair";
import type { KindEntry } from "../../session/scene";
import { h, short } from "../../ui/dom";
import type { Shown } from "../view";
import type { Place, Ranked } from "./order";

/** Milliseconds between drawings while layers arrive. */
const REDRAW = 150;

export class Drifting {
  private drifts: Drifts | null = null;
  private key = "";
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly changed: () => void) {}

  /** What is known of the difference that is shown; null where nothing is compared. */
  update(shown: Shown, pair: Pair): Drifts | null {
    const { other, scene, state, store, run } = shown;
    const b = other?.scene.commit;
    const key = b
      ? [
          run,
          scene.commit.writer,
          scene.commit.n,
          other.run.id,
          b.writer,
          b.n,
          state.input,
          other.input,
          state.kind,
          pair,
        ].join(" ")
      : "";
    if (key === this.key) return this.drifts;
    this.close();
    this.key = key;
    this.drifts =
      other && new Drifts({ store, scene, input: state.input, kind: state.kind, pair, other }, () => this.soon());
    void this.drifts?.read();
    return this.drifts;
  }

  private soon(): void {
    if (this.drifts?.done) {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.changed();
    } else {
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.changed();
      }, REDRAW);
    }
  }

  close(): void {
    this.drifts?.close();
    this.drifts = null;
    this.key = "";
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}

/** Of a head that cannot be compared: not a difference of nothing, but nothing that anybody knows. */
const UNKNOWN: SignedPicture = { rows: 1, columns: 1, values: Float32Array.of(Number.NaN), signed: true };

/** Pictures of B − A, all in the scale of the greatest difference there is. */
export function differences(drifts: Drifts): (layer: number, head: number) => SignedPicture | null {
  let most = 0;
  for (const { picture } of drifts.heads.values())
    for (const value of picture.values) if (Math.abs(value) > most) most = Math.abs(value);
  return (layer, head) => {
    const found = drifts.get(layer, head);
    if (!found) return drifts.done || drifts.failed.has(layer) ? UNKNOWN : null;
    const values = most > 0 ? found.picture.values.map((value) => value / most) : found.picture.values;
    return { ...found.picture, values, signed: true };
  };
}

/** All heads of a kind, those that have moved most first. */
export function driftRank(kind: KindEntry, drifts: Drifts): Ranked[] {
  const size = (value: number): number => (Number.isNaN(value) ? -1 : value);
  return kind.layers
    .flatMap(({ layer, heads }) =>
      heads.map((head) => {
        const found = drifts.get(layer, head);
        return { layer, head, value: found?.drift ?? Number.NaN, atLeast: found?.atLeast ?? false };
      }),
    )
    .sort((a, b) => size(b.value) - size(a.value));
}

const bits = ({ drift, atLeast }: HeadDrift): string =>
  Number.isNaN(drift) ? "–" : `${atLeast ? "≥ " : ""}${short(drift)} bits`;

/** How far a head has moved, in words. */
export function driftWords(drifts: Drifts | null, { layer, head }: Place): string {
  const found = drifts?.get(layer, head);
  return found ? `drift ${bits(found)}` : "";
}

/** The heads that have moved most, as buttons. */
export function movers(kind: KindEntry, drifts: Drifts, pick: (place: Place) => void): HTMLElement {
  const box = h("div", { class: "standouts" });
  const ranked = driftRank(kind, drifts).filter((one) => !Number.isNaN(one.value));
  for (const place of ranked.filter((one) => one.value > 0).slice(0, 6)) {
    const found = drifts.get(place.layer, place.head)!;
    box.append(
      h(
        "button",
        { type: "button", class: "standout", title: DRIFT, onclick: () => pick(place) },
        h("span", {}, `layer ${place.layer}`),
        h("span", { class: "dim" }, `head ${place.head}`),
        h("span", { class: "num" }, bits(found)),
      ),
    );
  }
  if (box.childElementCount > 0) box.prepend(h("h3", {}, "Heads that moved most"));
  const reasons = [...drifts.failed.values()].map((one) => (one instanceof Error ? one.message : String(one)));
  if (drifts.done) {
    const absent = ranked.length < kind.layers.reduce((sum, one) => sum + one.heads.length, 0);
    if (absent && reasons.length === 0) reasons.push("heads that B lacks, or that share no row, have no drift");
  }
  for (const reason of new Set(reasons.slice(0, 12))) box.append(h("p", { class: "dim" }, `Not compared: ${reason}.`));
  return box;
}

export const DRIFT =
  "Jensen–Shannon divergence of the rows of A and B, the mean over queries, in bits: 0 where they agree, 1 where they share no key";
