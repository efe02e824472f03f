// The timeline: one metric of the chosen heads over all steps, with the loss; indexes are read one after the other.
import type { Metric } from "../../decode/types";
import { headColour } from "../../draw/colour";
import { Indexes } from "../../session/indexes";
import type { Session } from "../../session/session";
import { chosenHeads } from "../../session/state";
import { fillSelect, h, short } from "../../ui/dom";
import { words } from "../../ui/notice";
import { MEANING, UNITS } from "../model/facts";
import { Frame, readyKey, type Shown, type View, type ViewType } from "../view";
import { Chart } from "./chart";
import { definedMetrics, headSeries, lossSeries, type Series, usualMetric } from "./series";

/** Milliseconds between redraws while indexes arrive. */
const REDRAW = 120;
/** Milliseconds that the head and model view have for themselves at the start. */
const HEAD_START = 200;

class TimelineView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("timeline", "timeline");
  private readonly metric = h("select", { "aria-label": "metric of the timeline" });
  private readonly about = h("span", { class: "dim wide-only" }, "of the chosen heads");
  private readonly legend = h("span", { class: "legend" });
  private readonly readout = h("span", { class: "readout num", "aria-live": "off" });
  private readonly chart: Chart;
  private readonly observer: ResizeObserver;
  private indexes: Indexes | null = null;
  private shown: Shown | null = null;
  private series: Series[] = [];
  private name: Metric = "entropy";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private store: Session["store"] = null;
  private begun = false;
  private closed = false;

  constructor(session: Session) {
    this.root = this.frame.root;
    this.chart = new Chart({
      point: (step) => this.tell(step),
      pick: (step) => step !== session.state.step && session.set({ step }),
    });
    this.metric.addEventListener("change", () => session.set({ metric: this.metric.value as Metric }));
    this.frame.title.replaceChildren(h("b", {}, "Timeline"), this.metric, this.about);
    this.frame.tools.append(this.readout, this.legend);
    this.observer = new ResizeObserver(() => this.shown && this.draw());
    this.observer.observe(this.frame.body);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { session } = shown;
    if (!this.indexes || this.store !== session.store) {
      this.indexes?.close();
      this.store = session.store;
      this.indexes = session.store && new Indexes(session.store, () => this.soon());
    }
    this.indexes?.tables.set(shown.scene.commit, shown.scene.index);
    if (!this.complete()) this.frame.pending();
    this.draw();
    if (this.begun) this.read();
    else {
      this.begun = true;
      setTimeout(() => this.read(), HEAD_START);
    }
  }

  private complete(): boolean {
    return this.indexes?.complete(this.shown!.session.commits) ?? true;
  }

  private read(): void {
    const { session } = this.shown!;
    if (!this.closed && session.record) this.indexes?.read(session.record.commits, session.record.rollUps);
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
    this.metric.hidden = this.about.hidden = defined.length === 0;
    const heads = chosenHeads(state, scene);
    this.series = headSeries(commits, this.indexes?.tables ?? new Map(), { ...state, heads, metric: this.name });
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
    const loss = lossSeries(commits);
    if (defined.length === 0 && loss === null) {
      body.replaceChildren(
        words("No attention was recorded, so there are no metrics of heads to follow over the steps."),
      );
      this.frame.ready(ready);
      return;
    }
    if (this.chart.root.parentElement !== body) body.replaceChildren(this.chart.root);
    const unit = UNITS[this.name];
    this.chart.draw(
      {
        steps: commits.map((one) => one.step),
        series: this.series,
        loss,
        label: defined.length === 0 ? null : unit ? `${this.name}, ${unit}` : `${this.name}, mean weight`,
        fromZero: true,
        step: state.step ?? 0,
        dark,
      },
      body.clientWidth,
      Math.max(120, Math.min(this.root.closest("[data-alone]") ? 640 : 320, body.clientHeight || 150)),
    );
    const count = this.indexes?.failed.size ?? 0;
    body.querySelector(":scope > .notice")?.remove();
    if (count > 0) {
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
    this.indexes?.close();
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
