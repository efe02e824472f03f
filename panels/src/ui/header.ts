// The header: run, input, step, kind, layer, pair, theme and help; it says what the session shows and changes it.
import type { Commit } from "../decode/types";
import { hasPair, PAIR_NAMES, PAIRS, type Pair } from "../session/pair";
import { keyAxis, kindName, queryAxis } from "../session/kinds";
import { axisOf, kindsOf, type Scene } from "../session/scene";
import { chosenHeads } from "../session/state";
import type { Session } from "../session/session";
import { CompareBar } from "./compare";
import { fillSelect, h, short } from "./dom";
import { HeadsMenu } from "./heads";
import { inputName } from "./inputs";
import { MANY, RunPicker } from "./picker";

/** Milliseconds a dragged step slider waits before data are fetched: a hand that moves on sends more than one event in them. */
const SETTLE = 25;

function pick(label: string, select: HTMLElement, className = ""): HTMLElement {
  return h("label", { class: `pick ${className}` }, h("span", {}, label), select);
}

export class Header {
  readonly root: HTMLElement;
  private readonly run: HTMLSelectElement;
  /** Instead of the drop-down where runs are many. */
  private readonly picker: RunPicker;
  private readonly pickRun: HTMLElement;
  private readonly link = h("a", {
    class: "run-link",
    target: "_blank",
    rel: "noopener",
    title: "this run in the tracker",
    "aria-label": "this run in the tracker",
  });
  private readonly input = h("select", { "aria-label": "input" });
  private readonly kind = h("select", { "aria-label": "kind of attention" });
  private readonly layer = h("select", { "aria-label": "layer" });
  private readonly pair = h("select", { "aria-label": "pair filter" });
  private readonly step: HTMLElement;
  private readonly slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "step" });
  private readonly steps = h("select", { class: "step-list num", "aria-label": "recorded step" });
  private readonly heads: HeadsMenu;
  private readonly number = h("span", { class: "step-number num" });
  private readonly about = h("span", { class: "step-about num" });
  private readonly news = h("button", { class: "btn news", type: "button", hidden: true });
  private readonly name = h("span", { class: "run-name" });
  private readonly picks: Record<"run" | "input" | "kind" | "layer" | "heads" | "pair", HTMLElement>;
  private readonly said = h("p", { class: "address-said", role: "status" });
  readonly compare: CompareBar;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly session: Session,
    actions: { theme(): void; help(): void },
  ) {
    this.compare = new CompareBar(session);
    const noun = session.source.noun ?? "run";
    this.run = h("select", { "aria-label": noun });
    this.heads = new HeadsMenu((heads) => session.set({ heads }));
    this.picker = new RunPicker(session, noun, (run) => void session.openRun(run));
    this.pickRun = h("div", { class: "pick pick-run" }, h("span", {}, noun), this.picker.root);
    this.link.textContent = "↗";
    this.picks = {
      run: pick(noun, this.run, "pick-run"),
      input: pick("input", this.input, "pick-input"),
      kind: pick("kind", this.kind, "pick-kind"),
      layer: pick("layer", this.layer, "pick-layer"),
      heads: h("div", { class: "pick pick-heads" }, h("span", {}, "heads"), this.heads.root),
      pair: pick("pair", this.pair, "pick-pair"),
    };
    const theme = h(
      "button",
      {
        class: "btn icon",
        type: "button",
        "aria-label": "light or dark",
        title: "light or dark",
        onclick: actions.theme,
      },
      "◐",
    );
    const help = h(
      "button",
      { class: "btn icon", type: "button", "aria-label": "keys", title: "keys (?)", onclick: actions.help },
      "?",
    );
    this.step = h(
      "div",
      { class: "step" },
      h("span", { class: "step-label" }, "step"),
      this.steps,
      this.slider,
      this.number,
      this.about,
      this.news,
    );
    this.root = h(
      "header",
      { class: "studio-head" },
      this.name,
      this.picks.run,
      this.pickRun,
      this.link,
      this.picks.input,
      this.step,
      this.picks.kind,
      this.picks.layer,
      this.picks.heads,
      this.picks.pair,
      h("span", { class: "head-end" }, theme, help),
      this.compare.root,
      this.said,
    );
    this.listen();
  }

  private listen(): void {
    const { session } = this;
    this.run.addEventListener("change", () => void session.openRun(this.run.value));
    this.input.addEventListener("change", () => session.set({ input: Number(this.input.value), query: null }));
    this.kind.addEventListener("change", () => session.set({ kind: this.kind.value, heads: null }));
    this.layer.addEventListener("change", () => session.set({ layer: Number(this.layer.value) }));
    this.pair.addEventListener("change", () => session.set({ pair: this.pair.value as Pair }));
    this.slider.addEventListener("input", () => {
      const commit = session.commits[Number(this.slider.value)];
      if (!commit) return;
      this.say(commit);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => session.set({ step: commit.step }), SETTLE);
    });
    this.steps.addEventListener("change", () => session.set({ step: Number(this.steps.value) }));
    this.news.addEventListener("click", () => session.set({ step: session.news }));
  }

  private say(commit: Commit): void {
    const { commits } = this.session;
    const last = commits[commits.length - 1]!.step;
    this.number.textContent = `${commit.step} / ${last}`;
    this.steps.value = String(commit.step);
    const loss = commit.loss ?? commit.metrics.eval_loss ?? null;
    const parts = [
      commit.epoch === null ? "" : `epoch ${Number(commit.epoch.toFixed(2))}`,
      loss === null ? "" : `${commit.loss === null ? "eval loss" : "loss"} ${short(loss)}`,
    ];
    this.about.textContent = parts.filter(Boolean).join(" · ");
    this.slider.setAttribute("aria-valuetext", `step ${commit.step}, ${this.about.textContent}`);
    this.number.title = commit.checkpoint ? `checkpoint ${commit.checkpoint}` : "";
  }

  update(): void {
    const { session } = this;
    const { scene, runs, commits, commit } = session;
    const many = session.list.long || runs.length > MANY;
    this.pickRun.hidden = !many || runs.length === 0;
    this.picks.run.hidden = many || runs.length < 2;
    this.name.hidden = many || runs.length > 1;
    if (many) this.picker.update(session.run?.id ?? "");
    const link = session.run?.link ?? "";
    // A tracker's own page, and nothing that would run as a script.
    this.link.hidden = !/^(\.\.\/|https?:)/.test(link);
    if (!this.link.hidden && this.link.getAttribute("href") !== link) this.link.setAttribute("href", link);
    this.name.textContent = session.run?.name ?? "";
    if (!many) {
      const named = runs.map((one) => ({ value: one.id, name: one.name }));
      fillSelect(this.run, named, session.run?.id ?? "");
    }
    fillSelect(
      this.steps,
      commits.map(({ step }) => ({ value: String(step), name: String(step) })),
      String(session.state.step),
    );
    this.step.hidden = commits.length === 0 && session.phase !== "loading";
    this.slider.max = String(Math.max(0, commits.length - 1));
    this.slider.disabled = commits.length < 2;
    if (commit) {
      this.slider.value = String(commits.indexOf(commit));
      this.say(commit);
    } else this.number.textContent = this.about.textContent = "";
    this.compare.update();
    if (this.said.textContent !== session.said) this.said.textContent = session.said;
    this.news.hidden = session.news === null;
    this.news.textContent = `new step ${session.news}`;
    if (scene) this.choices(scene);
    else if (!commit)
      for (const name of ["input", "kind", "layer", "heads", "pair"] as const) this.picks[name].hidden = true;
  }

  private choices(scene: Scene): void {
    const { state } = this.session;
    this.picks.input.hidden = scene.numbers.length < 1;
    fillSelect(
      this.input,
      scene.numbers.map((number) => ({ value: String(number), name: inputName(scene, number) })),
      String(state.input),
    );
    this.input.title = inputName(scene, state.input, 400);
    const kinds = kindsOf(scene, state.input);
    this.picks.kind.hidden = kinds.length < 2;
    fillSelect(
      this.kind,
      kinds.map((one) => ({ value: one.kind, name: kindName(one.kind) })),
      state.kind,
    );
    const layers = kinds.find((one) => one.kind === state.kind)?.layers ?? [];
    this.picks.layer.hidden = layers.length === 0;
    fillSelect(
      this.layer,
      layers.map((one) => ({ value: String(one.layer), name: String(one.layer) })),
      String(state.layer),
    );
    const entry = layers.find((one) => one.layer === state.layer);
    this.picks.heads.hidden = (entry?.heads.length ?? 0) < 2;
    this.heads.update(entry?.heads ?? [], chosenHeads(state, scene));
    const paired =
      hasPair(axisOf(scene, state.input, queryAxis(state.kind))) &&
      hasPair(axisOf(scene, state.input, keyAxis(state.kind)));
    this.picks.pair.hidden = !paired;
    fillSelect(
      this.pair,
      PAIRS.map((one) => ({ value: one, name: PAIR_NAMES[one] })),
      paired ? state.pair : "all",
    );
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.heads.destroy();
  }
}
