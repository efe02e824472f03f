// How weights are drawn, for all views of one layer: words, special tokens, normalised rows, mean of heads, threshold.
import type { Session } from "../../session/session";
import { needsAll } from "../../session/shape/shape";
import type { WeightLayer } from "../../decode/types";
import { chooseOption, Slider, Switch } from "../../ui/controls";
import { weightText } from "../../ui/dom";
import type { Shown } from "../view";

interface Kind {
  option: string;
  name: string;
  title: string;
  /** Value of the option when the switch is on, and whether it is on by itself. */
  on: string;
  off: string;
  usual: string;
  needsAll: boolean;
}

const SWITCHES: Kind[] = [
  {
    option: "weights.words",
    name: "words",
    title: "words instead of sub-words: sum over the tokens of a key word, mean over those of a query word",
    on: "1",
    off: "0",
    usual: "0",
    needsAll: true,
  },
  {
    option: "weights.special",
    name: "special",
    title: "special tokens such as [CLS]: off leaves them out",
    on: "1",
    off: "0",
    usual: "1",
    needsAll: false,
  },
  {
    option: "weights.norm",
    name: "normalise",
    title: "each row divided by what it sums to over the tokens shown",
    on: "1",
    off: "0",
    usual: "0",
    needsAll: true,
  },
  {
    option: "weights.mean",
    name: "mean",
    title: "the mean over the chosen heads",
    on: "1",
    off: "0",
    usual: "0",
    needsAll: true,
  },
];

/** The least weight that is drawn; 0: the view chooses. */
export function leastOf({ state }: Shown): number {
  const value = Number(state.options["weights.least"] ?? 0);
  return value > 0 && value <= 1 ? value : 0;
}

export class WeightControls {
  readonly elements: HTMLElement[];
  private readonly switches: { kind: Kind; control: Switch }[];
  private readonly least: Slider;
  /** From which weight on the view draws where the user has not said. */
  private usual = 0;

  constructor(session: Session) {
    this.switches = SWITCHES.map((kind) => ({
      kind,
      control: new Switch(kind.name, kind.title, (on) =>
        chooseOption(session, kind.option, on ? kind.on : kind.off, kind.usual),
      ),
    }));
    this.least = new Slider(
      "from",
      "least weight drawn",
      { min: 0, max: 1, step: 0.01 },
      (value) => (value > 0 ? `≥ ${weightText(value)}` : this.usual > 0 ? `auto, ≥ ${weightText(this.usual)}` : "all"),
      (value) => chooseOption(session, "weights.least", String(value), "0"),
    );
    this.elements = [...this.switches.map(({ control }) => control.root), this.least.root];
  }

  update(shown: Shown, layers: readonly (WeightLayer | null)[], usual: number): void {
    const refused = needsAll(layers.map((layer) => layer && { layer, queries: null, keys: null }));
    for (const { kind, control } of this.switches) {
      const why = kind.needsAll ? refused : null;
      control.refuse(why, kind.title);
      control.update(why === null && (shown.state.options[kind.option] ?? kind.usual) === kind.on);
    }
    this.usual = usual;
    this.least.update(leastOf(shown));
  }
}
