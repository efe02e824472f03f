// The timeline: one metric of the chosen heads over all steps, with the loss; indexes are read one after the other.
import type { Commit, IndexTable, Metric } from "../../decode/types";
import { headColour } from "../../draw/colour";
import type { Session } from "../../session/session";
import { chosenHeads } from "../../session/state";
import { fillSelect, h, short } from "../../ui/dom";
import { words } from "../../ui/notice";
import { MEANING, UNITS } from "../model/facts";
import { Frame, readyKey, type Shown, type View, type ViewType } from "../view";
import { Chart } from "./chart";
import { definedMetrics, headSeries, lossSeries, type Series, usualMetric } from "./series";

/** Indexes that are fetched at the same time. */
const AT_ONCE = 3;
/** Milliseconds between redraws while indexes arrive. */
const REDRAW = 120;
/** Milliseconds that the head and model view have for themselves at the start. */
const HEAD_START = 200;

class TimelineView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("timeline", "timeline");
  private readonly metric = h("select", { "aria-label": "metric of the timeline" });
  private readonly legend = h("span", { class: "legend" });
  private readonly readout = h("span", { class: "readout num", "aria-live": "off" });
  private readonly chart: Chart;
  private readonly observer: ResizeObserver;
  private readonly indexes = new Map<Commit, IndexTable>();
  private readonly failed = new Map<Commit, unknown>();
  private shown: Shown | null = null;
  private series: Series[] = [];
  private name: Metric = "entropy";
  private reading = new Set<Commit>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private run = "";
  private begun = false;
  private closed = false;

  constructor(session: Session) {
    this.root = this.frame.root;
    this.chart = new Chart({
      point: (step) => this.tell(step),
      pick: (step) => step !== session.state.step && session.set({ step }),
    });
    this.metric.addEventListener("change", () => session.set({ metric: this.metric.value as Metric }));
    this.frame.title.replaceChildren(
      h("b", {}, "Timeline"),
      this.metric,
      h("span", { class: "dim wide-only" }, "of the chosen heads"),
    );
    this.frame.tools.append(this.readout, this.legend);
    this.observer = new ResizeObserver(() => this.shown && this.draw());
    this.observer.observe(this.frame.body);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { session } = shown;
    if (this.run !== session.run?.id) {
      this.run = session.run?.id ?? "";
      this.indexes.clear();
      this.failed.clear();
    }
    this.indexes.set(shown.scene.commit, shown.scene.index);
    if (!this.complete()) this.frame.pending();
    this.draw();
    if (this.begun) this.read();
    else {
      this.begun = true;
      setTimeout(() => this.read(), HEAD_START);
    }
  }

  private complete(): boolean {
    return this.shown!.session.commits.every((one) => this.indexes.has(one) || this.failed.has(one));
  }

  private read(): void {
    const { session } = this.shown!;
    if (this.closed || !session.store) return;
    const waiting = session.commits.filter(
      (one) => !this.indexes.has(one) && !this.failed.has(one) && !this.reading.has(one),
    );
    for (const commit of waiting.slice(0, Math.max(0, AT_ONCE - this.reading.size))) {
      this.reading.add(commit);
      const { run } = this;
      session.store
        .index(commit, 2)
        .then(
          (index) => run === this.run && this.indexes.set(commit, index),
          (error) => run === this.run && this.failed.set(commit, error),
        )
        .finally(() => {
          this.reading.delete(commit);
          this.read();
          this.soon();
        });
    }
  }

  private soon(): void {
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

  private draw(): void {
    const { shown } = this;
    const { body } = this.frame;
    if (!shown || this.closed || !this.root.isConnected || body.clientWidth === 0) return;
    const { state, scene, session, dark } = shown;
    const { commits } = session;
    const ready = readyKey(state.step, state.input, state.kind, state.layer);
    const defined = definedMetrics(scene, state.input, state.kind);
    this.name = state.metric && defined.includes(state.metric) ? state.metric : usualMetric(defined);
    fillSelect(
      this.metric,
      defined.map((name) => ({ value: name, name })),
      this.name,
    );
    this.metric.title = MEANING[this.name];
    const heads = chosenHeads(state, scene);
    this.series = headSeries(commits, this.indexes, { ...state, heads, metric: this.name });
    const many = heads.length > 8;
    this.legend.replaceChildren(
      ...heads
        .slice(0, many ? 6 : 8)
        .map((head) =>
          h("span", {}, h("i", { style: `background:${headColour(head, dark)}` }), headName(state.layer, head)),
        ),
      ...(many ? [`+${heads.length - 6}`] : []),
    );
    this.root.classList.toggle("is-short", commits.length < 2);
    if (commits.length < 2) {
      const more = session.source.poll ? "The timeline begins with the second." : "";
      body.replaceChildren(words(`Step ${state.step} is the only one recorded in this run.`, more));
      this.frame.ready(ready);
      return;
    }
    if (this.chart.root.parentElement !== body) body.replaceChildren(this.chart.root);
    const unit = UNITS[this.name];
    this.chart.draw(
      {
        steps: commits.map((one) => one.step),
        series: this.series,
        loss: lossSeries(commits),
        label: unit ? `${this.name}, ${unit}` : `${this.name}, mean weight`,
        fromZero: true,
        step: state.step ?? 0,
        dark,
      },
      body.clientWidth,
      Math.max(120, Math.min(this.root.closest("[data-alone]") ? 640 : 320, body.clientHeight || 150)),
    );
    if (this.failed.size > 0) {
      const count = this.failed.size;
      const text = `${count} step${count > 1 ? "s" : ""} could not be read and ${count > 1 ? "are" : "is"} left out of the lines.`;
      body.append(words(text));
    }
    this.tell(null);
    if (this.complete()) this.frame.ready(ready);
  }

  private tell(step: number | null): void {
    const { shown } = this;
    if (!shown) return;
    const at = step ?? shown.state.step;
    const commit = shown.session.commits.find((one) => one.step === at);
    this.legend.hidden = step !== null;
    if (step === null || !commit) {
      this.readout.textContent = "";
      return;
    }
    const values = this.series
      .map((one) => ({ head: one.head, value: one.values[one.steps.indexOf(step)] ?? Number.NaN }))
      .filter(({ value }) => !Number.isNaN(value))
      .sort((a, b) => b.value - a.value)
      .slice(0, 4)
      .map(({ head, value }) => `${headName(shown.state.layer, head)} ${short(value)}`);
    const loss = commit.loss ?? commit.metrics.eval_loss;
    this.readout.textContent = [
      `step ${step}`,
      ...values,
      loss === undefined || loss === null ? "" : `loss ${short(loss)}`,
    ]
      .filter(Boolean)
      .join("  ·  ");
  }

  inspect(): unknown {
    return { metric: this.name, series: this.series, loss: lossSeries(this.shown?.session.commits ?? []) };
  }

  destroy(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.observer.disconnect();
  }
}

const headName = (layer: number, head: number): string => `L${layer}H${head}`;

export const timelineView: ViewType = {
  name: "timeline",
  title: "timeline",
  area: "bottom",
  order: 3,
  make: (session) => new TimelineView(session),
};
