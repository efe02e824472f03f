// The timeline's chart: lines over steps on two labelled axes, a marker at the shown step, dragging moves it.
import { headColour } from "../../draw/colour";
import { nice, ticks, tickText } from "../../draw/axis";
import { s } from "../../ui/dom";
import type { Series } from "./series";

const EDGE = { left: 44, right: 48, top: 24, bottom: 30 };

export interface ChartData {
  steps: number[];
  series: Series[];
  loss: { name: string; steps: number[]; values: number[] } | null;
  /** What the left axis measures, with its unit; null: nothing. */
  label: string | null;
  /** Metrics that are parts of a whole keep 0 in sight. */
  fromZero: boolean;
  step: number;
  dark: boolean;
}

const finite = (values: number[]): number[] => values.filter(Number.isFinite);

export class Chart {
  readonly root = s("svg", { class: "chart", tabindex: 0, role: "slider", "aria-label": "step" }) as SVGSVGElement;
  private data: ChartData | null = null;
  private width = 0;
  private height = 0;
  private readonly hover = s("line", { class: "chart-hover", y1: EDGE.top });
  private dragging = false;

  constructor(private readonly events: { point(step: number | null): void; pick(step: number): void }) {
    this.root.addEventListener("pointermove", (event) => {
      const step = this.stepAt(event);
      this.point(step);
      if (this.dragging && step !== null) this.events.pick(step);
    });
    this.root.addEventListener("pointerdown", (event) => {
      const step = this.stepAt(event);
      if (step === null) return;
      this.dragging = true;
      this.root.setPointerCapture(event.pointerId);
      this.events.pick(step);
    });
    const end = (): void => {
      this.dragging = false;
    };
    this.root.addEventListener("pointerup", end);
    this.root.addEventListener("pointercancel", end);
    this.root.addEventListener("pointerleave", () => this.point(null));
    this.root.addEventListener("keydown", (event) => {
      const { data } = this;
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!data || by === undefined) return;
      const next = data.steps[data.steps.indexOf(data.step) + by];
      if (next !== undefined) this.events.pick(next);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  private x(step: number): number {
    const { steps } = this.data!;
    const low = steps[0]!;
    const high = steps[steps.length - 1]!;
    const room = this.width - EDGE.left - EDGE.right;
    return EDGE.left + (high > low ? ((step - low) / (high - low)) * room : room / 2);
  }

  private stepAt(event: MouseEvent): number | null {
    const { data } = this;
    if (!data || data.steps.length === 0) return null;
    const x = event.clientX - this.root.getBoundingClientRect().left;
    return data.steps.reduce((best, one) => (Math.abs(this.x(one) - x) < Math.abs(this.x(best) - x) ? one : best));
  }

  private point(step: number | null): void {
    this.hover.style.display = step === null ? "none" : "";
    if (step !== null && this.data) {
      const x = this.x(step);
      this.hover.setAttribute("x1", String(x));
      this.hover.setAttribute("x2", String(x));
    }
    this.events.point(step);
  }

  draw(data: ChartData, width: number, height: number): void {
    this.data = data;
    this.width = width;
    this.height = height;
    const { root } = this;
    root.setAttribute("width", String(width));
    root.setAttribute("height", String(height));
    const parts: Node[] = [];
    const bottom = height - EDGE.bottom;
    const values = data.series.flatMap((one) => finite(one.values));
    const low = Math.min(...values, data.fromZero ? 0 : Number.POSITIVE_INFINITY);
    const range = values.length > 0 ? nice(low, Math.max(...values, low + 1e-3), 3) : ([0, 1] as [number, number]);
    parts.push(...this.axes(data, range));
    const scale =
      ([from, to]: [number, number]) =>
      (value: number) =>
        bottom - ((value - from) / (to - from)) * (bottom - EDGE.top);
    if (data.loss && data.loss.values.length > 0) {
      const lossRange = nice(Math.min(...data.loss.values), Math.max(...data.loss.values), 4);
      parts.push(this.line(data.loss.steps, data.loss.values, scale(lossRange), "chart-loss", ""));
      const y = scale(lossRange);
      for (const tick of ticks(...lossRange, 4)) {
        parts.push(s("text", { x: width - EDGE.right + 8, y: y(tick) + 3.5, class: "chart-tick" }, tickText(tick)));
      }
      const name = data.loss.name;
      parts.push(s("text", { x: width - 10, y: 13, class: "chart-label", "text-anchor": "end" }, `${name} (dashed)`));
    }
    const y = scale(range);
    for (const one of data.series) {
      const colour = headColour(one.head, data.dark);
      parts.push(this.line(one.steps, one.values, y, "chart-line", colour));
      if (data.steps.length <= 40) {
        one.values.forEach((value, i) => {
          if (Number.isFinite(value))
            parts.push(s("circle", { cx: this.x(one.steps[i]!), cy: y(value), r: 2, fill: colour }));
        });
      }
    }
    const x = this.x(data.step);
    parts.push(s("line", { x1: x, x2: x, y1: EDGE.top, y2: bottom, class: "chart-now" }));
    this.hover.setAttribute("y2", String(bottom));
    this.hover.style.display = "none";
    parts.push(this.hover);
    root.replaceChildren(...parts);
    root.setAttribute("aria-valuemin", String(data.steps[0] ?? 0));
    root.setAttribute("aria-valuemax", String(data.steps[data.steps.length - 1] ?? 0));
    root.setAttribute("aria-valuenow", String(data.step));
  }

  private axes(data: ChartData, range: [number, number]): Node[] {
    const { width, height } = this;
    const bottom = height - EDGE.bottom;
    const parts: Node[] = [];
    for (const tick of data.label === null ? [] : ticks(...range, 3)) {
      const y = bottom - ((tick - range[0]) / (range[1] - range[0])) * (bottom - EDGE.top);
      parts.push(
        s("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y, class: "chart-grid" }),
        s("text", { x: EDGE.left - 6, y: y + 3.5, class: "chart-tick", "text-anchor": "end" }, tickText(tick)),
      );
    }
    const low = data.steps[0]!;
    const high = data.steps[data.steps.length - 1]!;
    const every = ticks(low, high, Math.max(2, Math.floor((width - 100) / 90)));
    for (const tick of every.filter((one) => one >= low && one <= high)) {
      parts.push(
        s("line", { x1: this.x(tick), x2: this.x(tick), y1: bottom, y2: bottom + 3, class: "chart-grid" }),
        s("text", { x: this.x(tick), y: bottom + 14, class: "chart-tick", "text-anchor": "middle" }, tickText(tick)),
      );
    }
    parts.push(
      s("text", { x: 10, y: 13, class: "chart-label" }, data.label ?? ""),
      s("text", { x: width / 2, y: height - 3, class: "chart-label", "text-anchor": "middle" }, "step"),
    );
    return parts;
  }

  private line(
    steps: number[],
    values: number[],
    y: (value: number) => number,
    name: string,
    colour: string,
  ): SVGElement {
    let path = "";
    let pen = false;
    steps.forEach((step, i) => {
      const value = values[i]!;
      if (Number.isFinite(value)) path += `${pen ? "L" : "M"}${this.x(step).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = Number.isFinite(value);
    });
    return s("path", { d: path, class: name, ...(colour ? { stroke: colour } : {}) });
  }
}
