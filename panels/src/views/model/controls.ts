// The model view's row of controls: what heads are sorted by, and from which value on they count.
import type { Session } from "../../session/session";
import { Choice, Slider } from "../../ui/controls";
import { h } from "../../ui/dom";
import { MEANING, UNITS } from "./facts";
import { DRIFT } from "./drifting";
import { LEAST, type Ranking, SORT } from "./order";

/** Stops of the slider, from nothing to the greatest value. */
const STOPS = 100;
const ORDER = "layer";

export class ModelControls {
  private readonly sort: Choice;
  private readonly least: Slider;
  private readonly said = h("span", { class: "dim num", role: "status" });
  private most = 1;
  private unit = "";

  constructor(root: HTMLElement, session: Session) {
    // A threshold is one of a metric: it goes with it.
    this.sort = new Choice("sort", "order of the heads", (value) =>
      session.choose({ [SORT]: value === ORDER ? null : value, [LEAST]: null }),
    );
    this.least = new Slider(
      "from",
      "least value of the metric; heads below it are dimmed",
      { min: 0, max: STOPS, step: 1 },
      (stop) => `${stop > 0 ? rounded(this.value(stop)) : "0"}${this.unit}`,
      (stop) => session.choose({ [LEAST]: stop > 0 ? rounded(this.value(stop)) : null }),
    );
    root.append(this.sort.root, this.least.root, this.said);
  }

  private value(stop: number): number {
    return (stop / STOPS) * this.most;
  }

  /** `count`: how many heads reach the threshold; null where heads are not ranked. */
  update(
    defined: readonly Ranking[],
    ranked: { metric: Ranking; most: number; least: number; count: number; of: number } | null,
  ): void {
    const metrics = defined.map((name) => ({ value: name as string, name: name as string }));
    this.sort.update([{ value: ORDER, name: "layer, head" }, ...metrics], ranked?.metric ?? ORDER);
    this.sort.root.title = ranked ? meaningOf(ranked.metric) : "";
    this.least.root.hidden = this.said.hidden = ranked === null;
    if (!ranked) return;
    const { metric, most, least, count, of } = ranked;
    this.most = most > 0 ? most : 1;
    this.unit = unitOf(metric);
    this.least.update(Math.round((Math.min(least, this.most) / this.most) * STOPS), `${least}${this.unit}`);
    const words = least > 0 ? `${count} of ${of} heads stay` : `all ${of} heads`;
    if (this.said.textContent !== words) this.said.textContent = words;
  }
}

/** Three digits, rounded down, so that the greatest value still reaches itself. */
function rounded(value: number): string {
  const factor = 10 ** (2 - Math.floor(Math.log10(value)));
  return String(Number((Math.floor(value * factor) / factor).toPrecision(3)));
}

const meaningOf = (name: Ranking): string => (name === "drift" ? DRIFT : MEANING[name]);

function unitOf(name: Ranking): string {
  const unit = name === "drift" ? "bits" : UNITS[name];
  return unit ? ` ${unit}` : "";
}
