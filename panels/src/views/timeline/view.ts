// The timeline: one metric over all steps, of the chosen heads as lines or of all heads as heat, with what the trainer reported.
import type { Metric } from "../../decode/types";
import { headColour } from "../../draw/colour";
import { inkOf } from "../../draw/ink";
import { Indexes } from "../../session/indexes";
import { kindName } from "../../session/kinds";
import type { Session } from "../../session/session";
import { chosenHeads } from "../../session/state";
import { fillSelect, h, s, short } from "../../ui/dom";
import { Hint } from "../../ui/hint";
import { words } from "../../ui/notice";
import { sheet } from "../../ui/paper";
import { MEANING, UNITS } from "../model/facts";
import { Frame, readyKey, type Shown, type Take, type View, type ViewType } from "../view";
import { bestStep, chosenNames, type Recorded, recordedNames, recordedSeries, spelled } from "./beside";
import { Chart, DASHES } from "./chart";
import { BESIDE, comparedStep, compareSteps, type Mode, modeOf, TimelineControls } from "./controls";
import { Heat, type HeatCell } from "./heat";
import { Player } from "./play";
import { definedMetrics, headSeries, type HeadTable, headTable, type Series, usualMetric } from "./series";
import { stepPython, stepTable } from "./take";

/** Milliseconds between redraws while indexes arrive. */
const REDRAW = 120;
/** Milliseconds that the head and model view have for themselves at the start. */
const HEAD_START = 200;

export class TimelineView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("timeline", "timeline");
  private readonly metric = h("select", { "aria-label": "metric of the timeline" });
  private readonly legend = h("span", { class: "legend" });
  private readonly readout = h("span", { class: "readout num", "aria-live": "off" });
  private readonly hint = new Hint();
  private readonly controls: TimelineControls;
  private readonly chart: Chart;
  private readonly heat: Heat;
  private readonly player: Player;
  private readonly observer: ResizeObserver;
  private indexes: Indexes | null = null;
  private shown: Shown | null = null;
  private series: Series[] = [];
  private table: HeadTable | null = null;
  private beside: Recorded[] = [];
  private name: Metric = "entropy";
  private drawn: readonly unknown[] = [];
  /** Counts what has been read: numbers of another count are drawn anew. */
  private read = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private store: Session["store"] = null;
  private begun = false;
  private closed = false;

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    const pick = (step: number): void => {
      if (step !== session.state.step) session.set({ step });
    };
    const brush = (a: number, b: number, done: boolean): void => {
      if (done) compareSteps(session, a, b);
      else this.mark(a, b);
    };
    this.chart = new Chart({ point: (step) => this.tell(step), pick, brush });
    this.heat = new Heat({
      point: (cell, at) => this.tellCell(cell, at),
      open: (cell) => this.open(cell),
      brush,
      tell: (cell) => this.cellWords(cell),
    });
    this.player = new Player({
      steps: () => session.commits.map((one) => one.step),
      now: () => session.state.step,
      show: pick,
      settled: () => this.settled(),
      changed: () => this.shown && this.showControls(),
    });
    this.controls = new TimelineControls(this.frame.controls, session, () => this.player.toggle());
    this.metric.addEventListener("change", () => session.set({ metric: this.metric.value as Metric }));
    this.frame.title.replaceChildren(h("b", {}, "Timeline"), this.metric);
    this.frame.tools.append(this.readout, this.legend);
    this.root.append(this.hint.root);
    this.observer = new ResizeObserver(() => this.shown && this.draw());
    this.observer.observe(this.frame.body);
  }

  private open({ row, step }: HeatCell): void {
    const place = this.table?.heads[row];
    if (place) this.session.set({ step, layer: place.layer, heads: [place.head], view: "head" });
  }

  /** Whether all that is on the page shows this step; playing waits for it. */
  private settled(): boolean {
    const { session, root } = this;
    if (this.closed || root.hidden) this.player.stop();
    if (session.phase === "error") this.player.stop();
    const { step } = session.state;
    if (session.scene?.commit.step !== step) return false;
    const views = root.parentElement?.querySelectorAll<HTMLElement>(":scope > [data-view]:not([hidden])") ?? [];
    return [...views].every((one) => one === root || one.dataset.ready !== undefined);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { session } = shown;
    if (!this.indexes || this.store !== session.store) {
      this.indexes?.close();
      this.store = session.store;
      this.indexes = session.store && new Indexes(session.store, () => this.soon());
    }
    const { tables } = this.indexes ?? {};
    // A step of another run, that is compared with, stands on no line.
    const own = session.commits.includes(shown.scene.commit);
    if (own && tables && !tables.has(shown.scene.commit)) {
      tables.set(shown.scene.commit, shown.scene.index);
      this.read++;
    }
    if (!this.complete()) this.frame.pending();
    this.draw();
    if (this.begun) this.readOn();
    else {
      this.begun = true;
      setTimeout(() => this.readOn(), HEAD_START);
    }
  }

  private complete(): boolean {
    return this.indexes?.complete(this.shown!.session.commits) ?? true;
  }

  private readOn(): void {
    const { session } = this.shown!;
    if (!this.closed && session.record) this.indexes?.read(session.record.commits, session.record.rollUps);
  }

  private soon(): void {
    this.read++;
    if (this.complete()) {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.draw();
    } else {
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.draw();
      }, REDRAW);
    }
  }

  private showControls(): void {
    const { state, scene } = this.shown!;
    const heads = definedMetrics(scene, state.input, state.kind).length > 0;
    this.controls.update(this.session.state, this.player.playing, heads);
    this.frame.controls.hidden = this.session.commits.length < 2;
  }

  private draw(): void {
    const { shown } = this;
    const { body } = this.frame;
    if (!shown || this.closed || !this.root.isConnected || body.clientWidth === 0) return;
    const { state, scene, session } = shown;
    const { commits } = session;
    const ready = readyKey(state.step, state.input, state.kind, state.layer);
    const defined = definedMetrics(scene, state.input, state.kind);
    const mode: Mode = defined.length > 0 ? modeOf(state) : "lines";
    this.name = state.metric && defined.includes(state.metric) ? state.metric : usualMetric(defined);
    fillSelect(
      this.metric,
      defined.map((name) => ({ value: name, name })),
      this.name,
    );
    this.metric.title = MEANING[this.name];
    this.metric.hidden = defined.length === 0;
    this.root.classList.toggle("is-short", commits.length < 2);
    this.root.classList.toggle("is-heat", mode === "heat");
    this.beside = recordedSeries(commits, chosenNames(state.options[BESIDE], recordedNames(commits)));
    this.showControls();
    if (commits.length < 2) {
      const more = session.source.poll ? "The timeline begins with the second." : "";
      this.sayInstead(words(`Step ${state.step} is the only one recorded in this run.`, more), ready);
      return;
    }
    if (defined.length === 0 && recordedNames(commits).length === 0) {
      const none = "No attention was recorded, so there are no metrics of heads to follow over the steps.";
      this.sayInstead(words(none), ready);
      return;
    }
    this.drawNumbers(shown, mode, defined.length > 0);
    // Of two steps that are compared A is the session's, whichever of them is drawn.
    this.mark(session.state.step ?? 0, comparedStep(session.state));
    this.tell(null);
    if (this.complete()) this.frame.ready(ready);
  }

  private sayInstead(said: HTMLElement, ready: string): void {
    this.frame.body.replaceChildren(said);
    this.drawn = [];
    this.legend.replaceChildren();
    this.frame.ready(ready);
  }

  /** Lines or heat, drawn anew only where something but the step has changed. */
  private drawNumbers({ state, scene, session, dark }: Shown, mode: Mode, defined: boolean): void {
    const { body } = this.frame;
    const { commits } = session;
    const heads = chosenHeads(state, scene);
    const inner = mode === "heat" ? this.heat.root : this.chart.root;
    if (inner.parentElement !== body) {
      body.replaceChildren(inner);
      this.drawn = [];
    }
    const of = mode === "heat" ? "" : `${state.layer} ${heads}`;
    const size = [body.clientWidth, body.clientHeight];
    const besides = this.beside.map((one) => `${one.name} ${one.values}`).join();
    const key = [session.record, this.read, mode, of, state.input, state.kind, this.name, besides, dark, ...size];
    if (key.length === this.drawn.length && key.every((one, i) => one === this.drawn[i])) return;
    this.drawn = key;
    const tables = this.indexes?.tables ?? new Map();
    const what = { ...state, heads, metric: this.name };
    const ink = inkOf(this.root);
    const best = bestStep(commits);
    const high = Math.max(120, Math.min(this.root.closest("[data-alone]") ? 640 : 320, body.clientHeight || 150));
    this.showLegend(mode, heads, dark);
    if (mode === "heat") {
      this.series = [];
      this.table = headTable(commits, tables, what);
      this.heat.draw({ table: this.table, best, dark }, body.clientWidth, body.clientHeight || 150, ink);
      const { length } = this.table.heads;
      const how = "arrows move, Enter opens the head at that step, Shift and arrows choose a step to compare with";
      this.heat.label(`${this.name} of ${length} heads at ${commits.length} steps; ${how}`);
    } else {
      this.table = null;
      this.series = headSeries(commits, tables, what);
      const unit = UNITS[this.name];
      const label = !defined ? null : unit ? `${this.name}, ${unit}` : `${this.name}, mean weight`;
      const steps = commits.map((one) => one.step);
      this.chart.draw(
        { steps, series: this.series, beside: this.beside, best, label, dark },
        body.clientWidth,
        high,
        ink,
      );
    }
    const count = this.indexes?.failed.size ?? 0;
    body.querySelector(":scope > .notice")?.remove();
    if (count > 0) {
      const said = `${count} step${count > 1 ? "s" : ""} could not be read and ${count > 1 ? "are" : "is"} left out of the ${mode}.`;
      body.append(words(said));
    }
  }

  private mark(step: number, other: number | null): void {
    if (this.table) this.heat.mark({ step, other });
    else this.chart.mark({ step, other });
  }

  private showLegend(mode: Mode, heads: number[], dark: boolean): void {
    if (mode === "heat") {
      this.legend.replaceChildren();
      return;
    }
    const { layer } = this.shown!.state;
    const many = heads.length > 8;
    const entry = (mark: Element, name: string): HTMLElement => h("span", {}, mark, name);
    this.legend.replaceChildren(
      ...heads
        .slice(0, many ? 6 : 8)
        .map((head) => entry(h("i", { style: `background:${headColour(head, dark)}` }), headName(layer, head))),
      ...(many ? [`+${heads.length - 6}`] : []),
      ...this.beside.map((one, i) => {
        const line = s("svg", { width: 18, height: 4, "aria-hidden": "true" });
        const dash = DASHES[i % DASHES.length]!;
        line.append(s("line", { x2: 18, y1: 2, y2: 2, stroke: "currentColor", "stroke-dasharray": dash }));
        return entry(line, spelled(one.name));
      }),
    );
  }

  /** Numbers at the step that is pointed at. */
  private tell(step: number | null): void {
    const { shown } = this;
    if (!shown) return;
    const commit = step === null ? undefined : shown.session.commits.find((one) => one.step === step);
    this.legend.hidden = commit !== undefined;
    if (this.table) this.legend.hidden = true;
    if (!commit) {
      this.readout.textContent = this.table ? `full colour: ${short(this.table.most)}` : "";
      return;
    }
    const values = this.series
      .map((one) => ({ head: one.head, value: one.values[one.steps.indexOf(commit.step)] ?? Number.NaN }))
      .filter(({ value }) => !Number.isNaN(value))
      .sort((a, b) => b.value - a.value)
      .slice(0, 4)
      .map(({ head, value }) => `${headName(shown.state.layer, head)} ${short(value)}`);
    const reported = this.beside
      .filter((one) => one.steps.includes(commit.step))
      .map((one) => `${spelled(one.name)} ${short(one.values[one.steps.indexOf(commit.step)]!)}`);
    this.readout.textContent = [`step ${commit.step}`, ...values, ...reported].join("  ·  ");
  }

  private cellWords({ row, step }: HeatCell): string {
    const { table } = this;
    const place = table?.heads[row];
    if (!table || !place) return "";
    const value = table.values[row * table.steps.length + table.steps.indexOf(step)]!;
    const said = Number.isNaN(value) ? "not known" : `${short(value)}${UNITS[this.name] ? ` ${UNITS[this.name]}` : ""}`;
    return `layer ${place.layer}, head ${place.head}, step ${step}: ${this.name} ${said}`;
  }

  private tellCell(cell: HeatCell | null, at: { x: number; y: number } | null): void {
    if (!cell || !at) {
      this.hint.hide();
      this.tell(null);
      return;
    }
    const said = this.cellWords(cell);
    this.readout.textContent = said;
    this.hint.show([said], at.x, at.y);
  }

  play(): void {
    this.player.toggle();
  }

  take(): Take | null {
    const { shown, name } = this;
    if (!shown || this.drawn.length === 0) return null;
    const { state, session, scene } = shown;
    const heads = chosenHeads(state, scene);
    const { table } = this;
    const measured = definedMetrics(scene, state.input, state.kind).length > 0;
    const of = table ? "all heads" : `heads ${heads.join(", ")} of layer ${state.layer}`;
    const steps = session.commits.map((one) => one.step);
    const metric = `${name[0]!.toUpperCase()}${name.slice(1)} of ${of}, attention of ${kindName(state.kind)}, input ${state.input}`;
    const during = `steps ${steps[0]} to ${steps[steps.length - 1]}`;
    const title = measured ? `${metric}, ${during}` : `What the trainer reported, ${during}`;
    const values = table
      ? table.heads.map((one, row) => ({
          name: headName(one.layer, one.head),
          steps: table.steps,
          values: table.values.subarray(row * table.steps.length, (row + 1) * table.steps.length),
        }))
      : this.series.map((one) => ({ ...one, name: headName(state.layer, one.head) }));
    const where = table ? "all" : `layer${state.layer}`;
    return {
      name: measured ? `timeline-${where}-${name}` : "timeline",
      title,
      svg: () => {
        const { parts, width, height } = table ? this.heat.shapes() : this.chart.shapes();
        const node = s("g", { "font-size": 10.5 }, ...parts);
        return sheet(title, width, [{ node, height }], inkOf(this.root));
      },
      table: () => stepTable(steps, values, this.beside),
      python: () =>
        stepPython({
          run: session.run?.name ?? "",
          metric: name,
          input: state.input,
          kind: state.kind,
          only: table ? null : { layer: state.layer, heads },
          beside: this.beside.map((one) => one.name),
        }),
    };
  }

  inspect(): Record<string, unknown> {
    const { shown, table } = this;
    const commits = shown?.session.commits ?? [];
    return {
      metric: this.name,
      mode: table ? "heat" : "lines",
      series: this.series,
      heat: table && { heads: table.heads, steps: table.steps, values: table.values, most: table.most },
      beside: this.beside,
      best: bestStep(commits),
      compared: comparedStep(this.session.state),
      playing: this.player.playing,
    };
  }

  destroy(): void {
    this.closed = true;
    this.player.stop();
    this.indexes?.close();
    clearTimeout(this.timer);
    this.observer.disconnect();
  }
}

const headName = (layer: number, head: number): string => `${layer}.${head}`;

export const timelineView: ViewType = {
  name: "timeline",
  title: "timeline",
  area: "bottom",
  order: 3,
  make: (session) => new TimelineView(session),
};
