// The tokens view: saliency, predictions and losses, hidden states, and what the chosen query token takes from others.
import type { Output, StateLayer } from "../../decode/types";
import { chosenToken, wholeNumber } from "../../session/chosen";
import { axisName, queryAxis } from "../../session/kinds";
import { axisOf, findLayer, type Scene } from "../../session/scene";
import type { Session } from "../../session/session";
import type { State } from "../../session/state";
import { Choice } from "../../ui/controls";
import { fillSelect, h } from "../../ui/dom";
import { words } from "../../ui/notice";
import { Loaded, type Settled } from "../loaded";
import { pythonOf } from "../python";
import { Frame, readyKey, type Shown, type Take, type View, type ViewType } from "../view";
import { namesOf } from "./names";
import { PredictionsSection } from "./predictions";
import { SaliencySection } from "./saliency";
import type { Context, Data, LayerData, Section } from "./section";
import { StatesSection } from "./states";
import { ValuesSection } from "./values";

class TokensView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("tokens", "tokens view");
  private readonly show = h("select", { "aria-label": "what the tokens view shows", class: "tokens-show" });
  private readonly axisChoice: Choice;
  private readonly sections: Section[];
  private readonly grid = h("div", { class: "tokens-sections" });
  private readonly observer: ResizeObserver;
  private readonly outputs = new Loaded<Output[]>();
  private readonly states = new Loaded<StateLayer[]>();
  private readonly layer = new Loaded<LayerData>();
  private shown: Shown | null = null;
  private context: Context | null = null;
  private front = "";
  private closed = false;

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    this.sections = [
      new SaliencySection(session),
      new PredictionsSection(session),
      new StatesSection(session),
      new ValuesSection(session),
    ];
    for (const one of this.sections) session.pointing.follow(one, (at) => one.follow(at));
    this.grid.append(...this.sections.map((one) => one.root));
    this.axisChoice = new Choice("axis", "axis of the tokens view", (value) =>
      session.choose({ "tokens.axis": value === this.usualAxis() ? null : value }),
    );
    this.show.addEventListener("change", () => session.choose({ "tokens.show": this.show.value }));
    this.frame.title.replaceChildren(h("b", {}, "Tokens"), this.show, this.axisChoice.root);
    let width = 0;
    this.observer = new ResizeObserver(() => {
      const { clientWidth } = this.frame.body;
      if (clientWidth === width || clientWidth === 0) {
        for (const one of this.sections) if (one.drawn && !one.root.hidden) one.window();
        return;
      }
      width = clientWidth;
      if (this.context) this.draw();
    });
    this.observer.observe(this.frame.body);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { run, store, scene } = shown;
    const commit = `${run} ${scene.commit.writer} ${scene.commit.n}`;
    const draw = (): void => this.draw();
    this.outputs.want(commit, () => store.outputs(scene), draw);
    this.states.want(commit, () => store.states(scene), draw);
    this.draw();
  }

  /** Weights and vectors are many more numbers than the rest: they are read when they are to be seen. */
  private wantLayer(): void {
    const { run, store, scene, state } = this.shown!;
    const key = `${run} ${scene.commit.writer} ${scene.commit.n} ${state.input} ${state.kind} ${state.layer}`;
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    const read = async (): Promise<LayerData> => {
      if (!entry) return { weights: null, vectors: null };
      const [weights, vectors] = await Promise.all([
        store.weights(scene, entry),
        // Without vectors the weights can be shown alone.
        store.vectors(scene, entry)?.catch(() => null) ?? null,
      ]);
      return { weights, vectors };
    };
    this.layer.want(key, read, () => this.draw());
  }

  private usualAxis(): string {
    const { scene, state } = this.shown!;
    const axes = axesOf(scene, state.input);
    const own = queryAxis(state.kind);
    return axes.includes(own) ? own : (axes[0] ?? own);
  }

  private data(): Partial<Data> {
    const { outputs, states, layer } = this;
    return {
      ...(outputs.result && { outputs: outputs.result }),
      ...(states.result && { states: states.result }),
      ...(layer.result && { layer: layer.result }),
    };
  }

  private draw(): void {
    const { shown } = this;
    if (!shown || this.closed || this.root.hidden || !this.root.isConnected) return;
    const { state, scene } = shown;
    const ready = readyKey(state.step, state.input, state.kind, state.layer);
    const axes = axesOf(scene, state.input);
    const usual = this.usualAxis();
    const axis = axes.includes(state.options["tokens.axis"] ?? "") ? state.options["tokens.axis"]! : usual;
    this.axisChoice.root.hidden = axes.length < 2;
    this.axisChoice.update(
      axes.map((value) => ({ value, name: axisName(value) })),
      axis,
    );
    if (axes.length === 0) {
      this.frame.body.replaceChildren(words(`Input ${state.input} has no tokens.`));
      this.frame.ready(ready);
      return;
    }
    if (this.grid.parentElement !== this.frame.body) this.frame.body.replaceChildren(this.grid);
    this.context = this.contextOf(shown, axis, usual);
    const settled = this.sectionsOf(state, axis);
    if (settled) this.frame.ready(ready);
    else {
      this.frame.pending();
      this.root.classList.add("is-waiting");
    }
  }

  private contextOf(shown: Shown, axis: string, usual: string): Context {
    const { state, scene, session } = shown;
    const record = axisOf(scene, state.input, axis);
    const count = record?.tokens.length ?? 0;
    // The axis that queries come from shares its token with the neuron view; others have one of their own.
    const shared = axis === usual;
    const wanted = shared ? state.query : wholeNumber(state.options["tokens.token"]);
    return {
      shown,
      axis,
      names: namesOf(scene, state.input, axis, count),
      token: chosenToken(wanted, count, record),
      choose: (token) => (shared ? session.set({ query: token }) : session.choose({ "tokens.token": String(token) })),
      data: this.data(),
    };
  }

  /** Draws the sections that are to be seen; false while one of them is still being read. */
  private sectionsOf(state: State, axis: string): boolean {
    const names = this.sections.map((one) => one.name);
    const wanted = state.options["tokens.show"] ?? "";
    const outputs = this.outputs.result;
    const states = this.states.result;
    if (names.includes(wanted)) this.front = wanted;
    else if (outputs && states) this.front = usualSection(outputs, states, state, axis);
    else return false;
    const all = this.root.closest("[data-alone]") !== null;
    fillSelect(
      this.show,
      this.sections.map(({ name, title }) => ({ value: name, name: title })),
      this.front,
    );
    this.show.hidden = all;
    const seen = this.sections.filter((one) => all || one.name === this.front);
    for (const one of this.sections) one.root.hidden = !seen.includes(one);
    if (seen.some((one) => one.need === "layer")) this.wantLayer();
    const context = { ...this.context!, data: this.data() };
    return seen.map((one) => one.update(context)).every(Boolean);
  }

  take(): Take | null {
    const section = this.sections.find((one) => one.name === this.front);
    if (!section?.drawn || section.root.hidden || !this.root.dataset.ready) return null;
    const { state } = this.shown!;
    return {
      name: `tokens-${section.name}-step${state.step}-input${state.input}`,
      title: section.caption(),
      svg: () => section.svg(),
      table: () => section.table(),
      python: () => pythonOf(this.shown!, section.python()),
    };
  }

  inspect(): Record<string, unknown> {
    const seen = this.sections.filter((one) => !one.root.hidden);
    return {
      show: this.front,
      axis: this.context?.axis ?? null,
      token: this.context?.token ?? null,
      ...Object.fromEntries(seen.map((one) => [one.name, one.inspect()])),
    };
  }

  destroy(): void {
    this.closed = true;
    for (const one of this.sections) this.session.pointing.forget(one);
    for (const one of [this.outputs, this.states, this.layer]) one.drop();
    this.observer.disconnect();
  }
}

function axesOf(scene: Scene, input: number): string[] {
  return scene.inputs.find((one) => one.input === input)?.axes.map((one) => one.axis) ?? [];
}

/** What is shown first: the first that was recorded of this axis, and weights where nothing else was. */
function usualSection(
  outputs: Settled<Output[]>,
  states: Settled<StateLayer[]>,
  { input }: State,
  axis: string,
): string {
  const here = (one: { input: number; axis: string }): boolean => one.input === input && one.axis === axis;
  const found = outputs.value?.filter(here) ?? [];
  if (found.some((one) => one.role === "saliency") || outputs.error !== undefined) return "saliency";
  if (found.length > 0) return "predictions";
  if (states.value?.some(here) || states.error !== undefined) return "states";
  const any = (outputs.value?.length ?? 0) > 0 || (states.value?.length ?? 0) > 0;
  return any ? "saliency" : "values";
}

export const tokensView: ViewType = {
  name: "tokens",
  title: "tokens",
  area: "corner",
  order: 4,
  make: (session) => new TokensView(session),
};
