// The neuron view: for one head and one query token, how q and k make the weights; two inputs beside each other.
import { NotRecordedError } from "../../decode/errors";
import type { VectorLayer, WeightLayer } from "../../decode/types";
import { headColour } from "../../draw/colour";
import { inkOf } from "../../draw/ink";
import { wholeNumber } from "../../session/chosen";
import { findLayer, type LayerEntry } from "../../session/scene";
import type { Pointed } from "../../session/pointing";
import type { Session } from "../../session/session";
import { firstHead, type State } from "../../session/state";
import { Choice, chooseOption, Switch } from "../../ui/controls";
import { fillSelect, h } from "../../ui/dom";
import { inputName } from "../../ui/inputs";
import { tokenText, tokenTitle } from "../../ui/tokens";
import { Loaded } from "../loaded";
import { pythonOf } from "../python";
import { nameOf } from "../tokens/names";
import { Frame, readyKey, sideWords, type NumberTable, type Shown, type Take, type View, type ViewType } from "../view";
import { why } from "../why";
import { dataOf, type NeuronData } from "./data";
import { NeuronPane, WIDE } from "./pane";
import { neuronPicture } from "./picture";
import { stripsOf } from "./strips";

interface Layer {
  vectors: VectorLayer | null;
  weights: WeightLayer | null;
}

const VALUES = "value vectors, and what the query token takes from each: weight × v";

class NeuronView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("neuron", "neuron view");
  private readonly head = h("select", { "aria-label": "head of the neuron view" });
  private readonly group = h("span", { class: "group-chips", role: "group" });
  private readonly neurons: Switch;
  private readonly keys: Switch;
  private readonly values: Switch;
  private readonly besideChoice: Choice;
  private readonly controls: HTMLElement[];
  private readonly first: NeuronPane;
  private readonly second: NeuronPane;
  private readonly panes = h("div", { class: "neuron-panes" });
  private readonly observer: ResizeObserver;
  private readonly own = new Loaded<Layer>();
  private readonly beside = new Loaded<Layer>();
  private shown: Shown | null = null;
  private drawnKey = "";
  private closed = false;

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    const over = (key: number | null): void =>
      session.pointing.point(this, key === null ? null : { query: this.first.data?.i ?? null, key });
    this.first = new NeuronPane("", false, (token) => session.set({ query: token }), over);
    session.pointing.follow(this, (at) => this.follow(at));
    this.second = new NeuronPane(" of the input beside", true, (token) =>
      session.choose({ "neuron.token": String(token) }),
    );
    this.head.addEventListener("change", () => this.pick(Number(this.head.value)));
    this.neurons = new Switch("sort neurons", "neurons by what they add to q·k of the strongest key", (on) =>
      chooseOption(session, "neuron.sort", on ? "contribution" : "order", "order"),
    );
    this.keys = new Switch("sort keys", "keys by weight, the greatest first", (on) =>
      chooseOption(session, "neuron.keys", on ? "weight" : "order", "order"),
    );
    this.values = new Switch("values", VALUES, (on) =>
      chooseOption(session, "neuron.values", on ? "on" : "off", this.wide() ? "on" : "off"),
    );
    this.besideChoice = new Choice("beside", "another input beside this one", (value) =>
      session.choose({ "neuron.beside": value || null, "neuron.token": null }),
    );
    this.controls = [
      h("label", { class: "control" }, h("span", {}, "head"), this.head),
      this.group,
      h("label", { class: "control" }, h("span", {}, "query"), this.first.query),
      this.neurons.root,
      this.keys.root,
      this.values.root,
      this.besideChoice.root,
    ];
    let width = 0;
    this.observer = new ResizeObserver(() => {
      const { clientWidth } = this.frame.body;
      if (clientWidth === width) {
        for (const pane of [this.first, this.second]) if (pane.data) pane.table.resize();
        return;
      }
      width = clientWidth;
      this.drawnKey = "";
      if (this.shown) this.draw();
    });
    this.observer.observe(this.frame.body);
  }

  private pick(head: number): void {
    const usual = this.shown ? firstHead(this.shown.state, this.shown.scene) : -1;
    this.session.choose({ "neuron.head": head === usual ? null : String(head) });
  }

  /** Whether keys and values have room beside each other. */
  private wide(): boolean {
    return this.first.table.root.clientWidth >= WIDE;
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { state, scene, run } = shown;
    const place = `${run} ${scene.commit.writer} ${scene.commit.n} ${state.kind} ${state.layer}`;
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    this.own.want(
      `${place} ${state.input}`,
      () => this.read(shown, entry),
      () => this.draw(),
    );
    const beside = this.besideOf(shown);
    if (beside === null) this.beside.drop();
    else {
      const other = findLayer(scene, beside, state.kind, state.layer);
      this.beside.want(
        `${place} ${beside}`,
        () => this.read(shown, other),
        () => this.draw(),
      );
    }
    this.draw();
  }

  private async read({ store, scene }: Shown, entry: LayerEntry | null): Promise<Layer> {
    if (!entry) return { vectors: null, weights: null };
    const [vectors, weights] = await Promise.all([
      store.vectors(scene, entry),
      // Without weights the bias cannot be told, but q and k still can.
      store.weights(scene, entry)?.catch(() => null) ?? null,
    ]);
    return { vectors, weights };
  }

  /** Inputs that have this layer too. */
  private others({ scene, state }: Shown): number[] {
    return scene.numbers.filter((one) => one !== state.input && findLayer(scene, one, state.kind, state.layer));
  }

  private besideOf(shown: Shown): number | null {
    const wanted = wholeNumber(shown.state.options["neuron.beside"]);
    return wanted !== null && this.others(shown).includes(wanted) ? wanted : null;
  }

  private draw(): void {
    const { shown } = this;
    if (!shown || this.closed) return;
    const { state, scene } = shown;
    const ready = readyKey(state.step, state.input, state.kind, state.layer);
    const beside = this.besideOf(shown);
    const own = this.own.result;
    const other = beside === null ? null : this.beside.result;
    if (!own || other === undefined) {
      this.frame.pending();
      this.root.classList.add("is-waiting");
      return;
    }
    const { vectors, weights } = own.value ?? { vectors: null, weights: null };
    const data = vectors && dataOf(scene, state, state.input, state.query, vectors, weights);
    if (!vectors || !data) {
      this.silence(own.error ?? why(scene, state, "vectors"), ready);
      return;
    }
    const key = [
      this.ownKey(shown),
      sideWords(shown),
      beside,
      JSON.stringify(state.options),
      state.heads?.join(),
      state.query,
    ].join(" ");
    if (key === this.drawnKey && this.panes.parentElement === this.frame.body) {
      this.frame.ready(ready);
      return;
    }
    this.frame.pending();
    this.drawnKey = key;
    if (this.panes.parentElement !== this.frame.body) this.frame.body.replaceChildren(this.panes);
    this.panes.replaceChildren(this.first.root, ...(beside === null ? [] : [this.second.root]));
    this.panes.classList.toggle("has-two", beside !== null);
    this.titles(data);
    this.options(data, vectors, beside);
    const values = (state.options["neuron.values"] ?? (this.wide() ? "on" : "off")) === "on";
    this.first.show(data, vectors, beside === null ? null : inputName(scene, state.input), values, shown.dark);
    if (beside !== null) this.showBeside(shown, beside, values);
    this.first.side(sideWords(shown));
    this.follow(this.session.pointing.of(this));
    this.frame.ready(ready);
  }

  /** Marks what another view points at, in the input that all views show. */
  private follow(at: Pointed | null): void {
    const { data, table } = this.first;
    if (data && !this.root.hidden) table.follow(at?.key ?? null, at?.query === data.i);
  }

  private ownKey({ run, scene, state, dark }: Shown): string {
    return `${run} ${scene.commit.writer} ${scene.commit.n} ${state.input} ${state.kind} ${state.layer} ${dark}`;
  }

  private showBeside(shown: Shown, beside: number, values: boolean): void {
    const { state, scene, dark } = shown;
    const name = inputName(scene, beside);
    const { value, error } = this.beside.result!;
    const token = wholeNumber(state.options["neuron.token"]);
    const data = value?.vectors ? dataOf(scene, state, beside, token, value.vectors, value.weights) : null;
    if (data) {
      this.second.show(data, value!.vectors!, name, values, dark);
      this.second.spare(this.first);
    } else this.second.say(error ?? why(scene, { ...state, input: beside }, "vectors"), name);
  }

  /** Words instead of the tables. */
  private silence(error: unknown, ready: string): void {
    this.drawnKey = "";
    this.first.data = this.second.data = null;
    this.frame.title.replaceChildren(h("b", {}, "Neuron"), h("span", { class: "dim" }, this.layerWords()));
    this.frame.controls.replaceChildren();
    const { step } = this.shown!.state;
    const read = this.own.result?.error !== undefined;
    const said =
      read && error instanceof NotRecordedError
        ? new NotRecordedError(
            `Queries and keys of step ${step} are not in ${this.shown!.store.carrier}.`,
            error.remedy,
          )
        : error;
    this.frame.say(said, ready);
  }

  private layerWords(): string {
    const { scene, state } = this.shown!;
    return findLayer(scene, state.input, state.kind, state.layer) ? `layer ${state.layer}` : "";
  }

  private titles({ head, i, queryNames }: NeuronData): void {
    const { state } = this.shown!;
    const token = queryNames.tokens[i] ?? "";
    const label = queryNames.labels?.[i];
    this.frame.title.replaceChildren(
      h("b", {}, "Neuron"),
      h("span", { class: "dim", title: `layer ${state.layer} head ${head}` }, `L${state.layer}H${head}, query`),
      h(
        "b",
        { class: "title-token", title: tokenTitle(token, i, undefined, label) },
        tokenText(token, queryNames.byteLevel, label),
      ),
      h("span", { class: "dim" }, `(${i})`),
    );
  }

  private options(data: NeuronData, vectors: VectorLayer, beside: number | null): void {
    const shown = this.shown!;
    const { state, scene } = shown;
    if (this.controls.some((one) => one.parentElement !== this.frame.controls))
      this.frame.controls.replaceChildren(...this.controls);
    const heads = vectors.q.map((one) => ({ value: String(one.head), name: String(one.head) }));
    fillSelect(this.head, heads, String(data.head));
    this.chips(data, vectors);
    this.neurons.update(state.options["neuron.sort"] === "contribution");
    this.keys.update(state.options["neuron.keys"] === "weight");
    this.values.refuse(
      data.values ? null : 'values were not recorded: record=("attention", "vectors", "values")',
      VALUES,
    );
    this.values.update(
      data.values !== null && (state.options["neuron.values"] ?? (this.wide() ? "on" : "off")) === "on",
    );
    const others = this.others(shown);
    this.besideChoice.root.hidden = others.length === 0;
    this.besideChoice.update(
      [
        { value: "", name: "beside: off" },
        ...others.map((one) => ({ value: String(one), name: `beside ${inputName(scene, one, 30)}` })),
      ],
      beside === null ? "" : String(beside),
    );
  }

  /** The query heads that read the same keys, as small buttons; none where each head has its own. */
  private chips({ head, group, shared }: NeuronData, vectors: VectorLayer): void {
    const { dark } = this.shown!;
    this.group.hidden = vectors.q.length === vectors.k.length || shared.length < 2;
    this.group.setAttribute("aria-label", `heads that read key group ${group}`);
    this.group.replaceChildren(
      h("span", { class: "dim" }, `group ${group}`),
      ...shared.map((one) =>
        h(
          "button",
          {
            class: "group-chip",
            type: "button",
            style: `--c:${headColour(one, dark)}`,
            "aria-pressed": String(one === head),
            "aria-label": `head ${one}`,
            title: `head ${one} reads key group ${group} too`,
            onclick: () => this.pick(one),
          },
          String(one),
        ),
      ),
    );
  }

  take(): Take | null {
    const panes = [this.first, this.second].filter((one) => one.data && one.root.isConnected);
    const { data } = this.first;
    if (!data || !this.root.dataset.ready || panes.length === 0) return null;
    const { state, scene } = this.shown!;
    const query = nameOf(data.queryNames, data.i, 24);
    const title = `Layer ${state.layer} head ${data.head}, query ${query} (${data.i}), step ${state.step}, input ${state.input}`;
    const all = panes.map((one) => one.data!);
    return {
      name: `neuron-step${state.step}-layer${state.layer}-head${data.head}`,
      title,
      svg: () =>
        neuronPicture(
          panes.map(({ data: one, table }) => ({
            title: inputName(scene, one!.input),
            data: one!,
            strips: stripsOf(one!, { keys: true, values: one!.values !== null }),
            columns: table.columns,
            sight: table.sight,
          })),
          title,
          inkOf(this.root),
        ),
      table: () =>
        tableOf(
          all,
          panes.map((one) => one.table.columns.map(({ name }) => name)),
          (n, name, j) => {
            const column = panes[n]!.table.columns.find((one) => one.name === name);
            return column && all[n]!.explained.open[j] ? column.value(j) : Number.NaN;
          },
        ),
      python: () => pythonOf(this.shown!, pythonLines(data, this.own.result!.value!.vectors!, state)),
    };
  }

  inspect(): Record<string, unknown> {
    const vectors = this.own.result?.value?.vectors ?? null;
    return {
      ...inspected(this.first.data),
      precision: this.first.data ? (vectors?.precision ?? null) : null,
      beside: this.second.root.isConnected ? inspected(this.second.data) : null,
    };
  }

  destroy(): void {
    this.closed = true;
    this.session.pointing.forget(this);
    this.own.drop();
    this.beside.drop();
    this.observer.disconnect();
  }
}

function inspected(data: NeuronData | null): Record<string, unknown> {
  const { explained } = data ?? {};
  return {
    input: data?.input ?? null,
    head: data?.head ?? null,
    query: data?.i ?? null,
    group: data?.group ?? null,
    shared: data?.shared ?? null,
    softmax: explained?.softmax ?? null,
    qk: explained?.qk ?? null,
    bias: explained?.bias ?? null,
    stored: explained?.stored ?? null,
    open: explained?.open ?? null,
    product: data?.product ?? null,
    rows: data?.rows ?? null,
    neurons: data?.neurons ?? null,
    strongest: data?.strongest ?? null,
    mixed: data?.mixed ?? null,
  };
}

/** Rows of all inputs that are shown, with every column that one of them has. */
function tableOf(
  all: NeuronData[],
  columns: string[][],
  value: (n: number, name: string, key: number) => number,
): NumberTable {
  const names = [...new Set(columns.flat())];
  return {
    columns: [...(all.length > 1 ? ["input"] : []), "key", "token", ...names],
    count: all.reduce((sum, one) => sum + one.rows.length, 0),
    *rows() {
      for (const [n, one] of all.entries())
        for (const j of one.rows)
          yield [
            ...(all.length > 1 ? [one.input] : []),
            j,
            one.keyNames.tokens[j] ?? "",
            ...names.map((name) => value(n, name, j)),
          ];
    },
  };
}

/** q·k of the shown query with every key: arrays hold heads, and groups, in the order of their numbers. */
function pythonLines({ head, group, i }: NeuronData, vectors: VectorLayer, { kind, layer }: State): string[] {
  const at = (list: { head: number }[], wanted: number): number =>
    list
      .map((one) => one.head)
      .sort((a, b) => a - b)
      .indexOf(wanted);
  const place = `${JSON.stringify(kind)}, ${layer}`;
  return [
    `q = step.vectors("q", ${place})[${at(vectors.q, head)}, ${i}]  # head ${head}, query ${i}`,
    `k = step.vectors("k", ${place})[${at(vectors.k, group)}]  # key group ${group}`,
    `found = k @ q * step.find(${place}, what="vectors").vectors.scale`,
  ];
}

export const neuronView: ViewType = {
  name: "neuron",
  title: "neuron",
  area: "right",
  order: 2,
  make: (session) => new NeuronView(session),
};
