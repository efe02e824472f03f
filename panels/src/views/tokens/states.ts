// Statistics of hidden states: of the chosen token over the layers, and of all tokens after one layer.
import { extent } from "../../draw/axis";
import { STATISTICS, type StateLayer, type Statistic } from "../../decode/types";
import { kindName } from "../../session/kinds";
import type { Session } from "../../session/session";
import { Choice, chooseOption } from "../../ui/controls";
import { s } from "../../ui/dom";
import type { Part } from "../../ui/paper";
import { type Ink, inkOf } from "../../draw/ink";
import type { NumberTable } from "../view";
import { absent } from "./absent";
import { type ChartData, chart } from "./chart";
import { nameOf } from "./names";
import { formatOf } from "./precise";
import { type Context, Section } from "./section";
import { byRange, bySize } from "./shade";
import { RowTable } from "./table";
import { TokenText } from "./text";

const USUAL: Statistic = "norm";
const HEIGHT = 150;

export const MEANING: Record<Statistic, string> = {
  mean: "mean over the width of the state",
  std: "standard deviation over the width of the state",
  norm: "length of the state (L2)",
  min: "least element of the state",
  max: "greatest element of the state",
  cosine: "cosine of the angle to the state of the layer before",
};

export const statisticOf = (text: string | undefined): Statistic =>
  STATISTICS.includes(text as Statistic) ? (text as Statistic) : USUAL;

/** Mean over the tokens that have a value. */
export function meanOf(values: ArrayLike<number>): number {
  const known = Array.from(values).filter((value) => !Number.isNaN(value));
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : Number.NaN;
}

export class StatesSection extends Section {
  private readonly statistic: Choice;
  private readonly text: TokenText;
  private readonly rows: RowTable;
  private readonly picture = s("svg", { class: "states-chart", role: "img" });
  private layers: StateLayer[] = [];
  private statisticName: Statistic = USUAL;
  private now: StateLayer | null = null;
  private data: ChartData | null = null;

  constructor(session: Session) {
    super("states", "hidden states", "states");
    this.statistic = new Choice("statistic", "statistic of hidden states", (value) =>
      chooseOption(session, "tokens.statistic", value, USUAL),
    );
    this.controls.append(this.statistic.root);
    this.text = new TokenText("tokens, shaded by a statistic of their states", (at) => this.context?.choose(at));
    this.rows = new RowTable("statistics of the chosen token over the layers", (row) => {
      const layer = this.layers[row]?.layer ?? 0;
      if (layer > 0) session.set({ layer: layer - 1 });
    });
  }

  protected draw({ shown, axis, names, token, data }: Context): void {
    const { state, scene, dark } = shown;
    const all = data.states!.value!.filter((one) => one.input === state.input);
    this.layers = all.filter((one) => one.axis === axis).sort((a, b) => a.layer - b.layer);
    this.controls.hidden = this.layers.length === 0;
    if (this.layers.length === 0) throw absent(scene, "states", axis, [...new Set(all.map((one) => one.axis))]);
    this.statisticName = statisticOf(state.options["tokens.statistic"]);
    const { layers, statisticName: name } = this;
    this.statistic.update(
      STATISTICS.map((value) => ({ value, name: value })),
      name,
    );
    const now = layers.find((one) => one.layer === state.layer + 1) ?? layers[layers.length - 1]!;
    this.now = now;
    const shaded = now.statistics[name];
    const text = formatOf(shaded);
    this.put(this.text.root, this.note, this.picture, this.rows.root);
    // Layers are counted from 0 elsewhere; a number of layers that were passed cannot be taken for one of those.
    const where =
      now.layer === 0 ? "of the embeddings" : `after ${now.layer} of ${layers[layers.length - 1]!.layer} layers`;
    const known = Array.from(shaded).filter((value) => !Number.isNaN(value));
    const signed = known.some((value) => value < 0);
    const span =
      known.length === 0
        ? "not defined there"
        : signed
          ? "blue above 0, orange below"
          : `pale ${text(extent(known)[0])}, full ${text(extent(known)[1])}`;
    this.note.textContent = `${name[0]!.toUpperCase()}${name.slice(1)} ${where}: ${MEANING[name]}; ${span}.`;
    const shade = signed ? bySize(shaded) : byRange(shaded);
    const say = (at: number): string => `${name} ${text(shaded[at]!)}`;
    this.text.show({ names, shade, say, chosen: token, dark }, this.width);
    this.data = {
      layers: layers.map((one) => one.layer),
      values: layers.map((one) => one.statistics[name][token]!),
      mean: layers.map((one) => meanOf(one.statistics[name])),
      label: name,
      token: nameOf(names, token, 16),
      now: now.layer,
    };
    this.plot();
    const texts = STATISTICS.map((one) => formatOf(layers.map((layer) => layer.statistics[one][token]!)));
    this.rows.show({
      columns: [
        { name: "after", px: 44, title: "how many layers the state has passed" },
        ...STATISTICS.map((one) => ({ name: one, fr: 1, right: true, title: MEANING[one] })),
      ],
      count: layers.length,
      cells: (row) => [
        {
          text: layers[row]!.layer === 0 ? "emb." : String(layers[row]!.layer),
          title: layers[row]!.layer === 0 ? "embeddings" : `after ${layers[row]!.layer} layers`,
        },
        ...STATISTICS.map((one, n) => ({ text: texts[n]!(layers[row]!.statistics[one][token]!) })),
      ],
      names,
      chosen: layers.indexOf(now),
    });
    this.window();
  }

  private plot(): void {
    const { width } = this;
    const data = this.data!;
    for (const [name, value] of Object.entries({ width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` }))
      this.picture.setAttribute(name, String(value));
    this.picture.setAttribute(
      "aria-label",
      `${data.label} of ${data.token} over ${data.layers.length} layers; the table below has the numbers`,
    );
    this.picture.replaceChildren(chart(data, inkOf(this.root), width, HEIGHT));
  }

  window(): void {
    this.rows.window(...this.sight(this.rows.root));
  }

  table(): NumberTable {
    const { token } = this.context!;
    const layers = [...this.layers];
    return {
      columns: ["layer", ...STATISTICS],
      count: layers.length,
      *rows() {
        for (const one of layers) yield [one.layer, ...STATISTICS.map((name) => one.statistics[name][token]!)];
      },
    };
  }

  caption(): string {
    const { shown, axis, names, token } = this.context!;
    const { step, input } = shown.state;
    return `Hidden states of ${nameOf(names, token)} (${kindName(axis)} ${token}): ${this.statisticName}, step ${step}, input ${input}`;
  }

  python(): string[] {
    const { axis, token } = this.context!;
    return [`found = step.states(${JSON.stringify(axis)})["${this.statisticName}"][:, ${token}]`];
  }

  protected parts(ink: Ink, width: number): Part[] {
    const plot = { node: s("g", {}, chart(this.data!, ink, width, HEIGHT)), height: HEIGHT };
    return [this.text.picture(ink, width), plot, this.rows.picture(ink, width)];
  }

  inspect(): unknown {
    if (!this.drawn || !this.data) return null;
    return { statistic: this.statisticName, ...this.data, shaded: this.now?.statistics[this.statisticName] ?? null };
  }
}
