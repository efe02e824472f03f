// The timeline's chart: lines over steps on labelled axes. Lines are drawn when numbers change; moving the step moves marks.
import { extent, nice, ticks, tickText } from "../../draw/axis";
import { headColour } from "../../draw/colour";
import type { Ink } from "../../draw/ink";
import { s } from "../../ui/dom";
import { bestMark, type Marks, stepMarks, stepTicks, text } from "./axes";
import { type Best, isLoss, type Recorded, spelled } from "./beside";
import { scrub, type ScrubEvents, stepKey } from "./scrub";
import type { Series } from "./series";

const EDGE = { left: 44, right: 14, scale: 48, top: 28, bottom: 30 };
/** Dots on lines while steps are this few. */
const DOTS = 40;
/** Dashes of the numbers beside: one pattern each. */
export const DASHES = ["4 3", "1.5 2.5", "9 3", "9 3 2 3", "4 2 1 2"];

export interface ChartData {
  steps: number[];
  series: Series[];
  beside: Recorded[];
  best: Best | null;
  /** What the left axis measures, with its unit; null: nothing. */
  label: string | null;
  dark: boolean;
}

type Range = [number, number];

const finite = (values: number[]): number[] => values.filter(Number.isFinite);

export class Chart {
  readonly root = s("svg", {
    class: "chart",
    tabindex: 0,
    role: "slider",
    "aria-label": "step of the timeline",
  }) as SVGSVGElement;
  private data: ChartData | null = null;
  private ink: Ink | null = null;
  private width = 0;
  private height = 0;
  private right = EDGE.right;
  private readonly hover = s("line", { y1: EDGE.top, "pointer-events": "none", style: "display:none" });
  private readonly marks = s("g", { class: "chart-marks" });
  private marked: Marks | null = null;

  constructor(events: Omit<ScrubEvents, "point"> & { point(step: number | null): void }) {
    const point = (step: number | null): void => {
      this.point(step);
      events.point(step);
    };
    scrub(
      this.root,
      (event) => this.stepAt(event),
      () => this.marked?.step ?? null,
      { ...events, point },
      true,
    );
    this.root.addEventListener("keydown", (event) => {
      const { data, marked } = this;
      if (!data || !marked || event.ctrlKey || event.metaKey || event.altKey) return;
      const from = event.shiftKey ? (marked.other ?? marked.step) : marked.step;
      const next = stepKey(event.key, data.steps, from);
      if (next === null) return;
      if (event.shiftKey) events.brush(marked.step, next, true);
      else if (next !== marked.step) events.pick(next, event as unknown as PointerEvent);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  private x(step: number): number {
    const { steps } = this.data!;
    const low = steps[0]!;
    const high = steps[steps.length - 1]!;
    const room = this.width - EDGE.left - this.right;
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
    if (step === null || !this.data) return;
    const x = this.x(step);
    this.hover.setAttribute("x1", String(x));
    this.hover.setAttribute("x2", String(x));
  }

  /** Everything but the marks. */
  draw(data: ChartData, width: number, height: number, ink: Ink): void {
    this.data = data;
    this.ink = ink;
    this.width = width;
    this.height = height;
    const { root } = this;
    root.setAttribute("width", String(width));
    root.setAttribute("height", String(height));
    this.hover.setAttribute("stroke", ink.dim);
    this.hover.setAttribute("y2", String(height - EDGE.bottom));
    this.hover.style.display = "none";
    root.replaceChildren(...this.parts(), this.marks, this.hover);
    root.setAttribute("aria-valuemin", String(data.steps[0] ?? 0));
    root.setAttribute("aria-valuemax", String(data.steps[data.steps.length - 1] ?? 0));
  }

  /** Moves the marks of the shown and the compared step. */
  mark(marks: Marks): void {
    if (!this.data || !this.ink) return;
    this.marked = marks;
    const { height, ink } = this;
    this.marks.replaceChildren(...stepMarks(marks, (step) => this.markX(step), EDGE.top, height - EDGE.bottom, ink));
    const { root } = this;
    root.setAttribute("aria-valuenow", String(marks.step));
    const compared = marks.other === null ? "" : `, compared with step ${marks.other}`;
    root.setAttribute("aria-valuetext", `step ${marks.step}${compared}`);
  }

  private markX(step: number): number | null {
    return this.data!.steps.includes(step) ? this.x(step) : null;
  }

  /** What is on screen, to be saved. */
  shapes(): { parts: Node[]; width: number; height: number } {
    return {
      parts: [...this.parts(), this.marks.cloneNode(true)],
      width: this.width,
      height: this.height,
    };
  }

  private parts(): Node[] {
    const { width, height } = this;
    const data = this.data!;
    const ink = this.ink!;
    const bottom = height - EDGE.bottom;
    const scales = besideScales(data.beside);
    this.right = scales.shared ? EDGE.scale : EDGE.right;
    const range = rangeOf(data.series);
    const scale =
      ([from, to]: Range) =>
      (value: number) =>
        bottom - ((value - from) / (to - from)) * (bottom - EDGE.top);
    const parts: Node[] = [];
    const y = scale(range);
    for (const tick of data.label === null ? [] : ticks(...range, 3)) {
      parts.push(
        s("line", { x1: EDGE.left, x2: width - this.right, y1: y(tick), y2: y(tick), stroke: ink.faint }),
        text(EDGE.left - 6, y(tick) + 3.5, ink.dim, tickText(tick), "end"),
      );
    }
    parts.push(...stepTicks(data.steps, width - 100, (step) => this.x(step), bottom, ink));
    parts.push(
      text(10, 13, ink.dim, data.label ?? ""),
      text(EDGE.left + (width - EDGE.left - this.right) / 2, height - 3, ink.dim, "step", "middle"),
    );
    if (scales.shared) {
      const y2 = scale(scales.shared);
      for (const tick of ticks(...scales.shared, 4))
        parts.push(text(width - EDGE.scale + 8, y2(tick) + 3.5, ink.dim, tickText(tick)));
      const names = data.beside.filter((_, i) => scales.ranges[i] === scales.shared).map((one) => spelled(one.name));
      parts.push(text(width - 10, 13, ink.dim, names.join(", "), "end"));
    }
    data.beside.forEach((one, i) => {
      parts.push(
        this.line(one.steps, one.values, scale(scales.ranges[i]!), {
          stroke: ink.dim,
          "stroke-width": 1.3,
          "stroke-dasharray": DASHES[i % DASHES.length]!,
          "data-name": one.name,
        }),
      );
    });
    for (const one of data.series) parts.push(...this.head(one, y));
    if (data.best) {
      const { step, name, value } = data.best;
      parts.push(bestMark(this.x(step), bottom, ink, `best ${spelled(name)}: ${tickText(value)} at step ${step}`));
    }
    return parts;
  }

  private head(one: Series, y: (value: number) => number): Node[] {
    const colour = headColour(one.head, this.data!.dark);
    const parts: Node[] = [this.line(one.steps, one.values, y, { stroke: colour, "stroke-width": 2 })];
    if (this.data!.steps.length > DOTS) return parts;
    one.values.forEach((value, i) => {
      if (Number.isFinite(value))
        parts.push(s("circle", { cx: this.x(one.steps[i]!), cy: y(value), r: 2, fill: colour }));
    });
    return parts;
  }

  private line(
    steps: number[],
    values: number[],
    y: (value: number) => number,
    look: Record<string, string | number>,
  ): SVGElement {
    let path = "";
    let pen = false;
    steps.forEach((step, i) => {
      const value = values[i]!;
      if (Number.isFinite(value)) path += `${pen ? "L" : "M"}${this.x(step).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = Number.isFinite(value);
    });
    return s("path", { d: path, fill: "none", "stroke-linejoin": "round", ...look });
  }
}

/** Metrics are never negative: 0 stays in sight. */
function rangeOf(series: Series[]): Range {
  const values = series.flatMap((one) => finite(one.values));
  return values.length > 0 ? nice(0, Math.max(extent(values)[1], 1e-3), 3) : [0, 1];
}

/**
 * Where each of the numbers beside is drawn: losses share one range, any other has its own. The axis on the right tells the
 * losses, or what is drawn alone.
 */
export function besideScales(beside: readonly Recorded[]): { ranges: Range[]; shared: Range | null } {
  const spread = (all: readonly Recorded[]): Range => {
    const values = all.flatMap((one) => finite(one.values));
    return values.length > 0 ? nice(...extent(values), 4) : [0, 1];
  };
  const losses = beside.filter((one) => isLoss(one.name));
  const together: Range | null = losses.length > 0 ? spread(losses) : null;
  const ranges = beside.map((one) => (together && isLoss(one.name) ? together : spread([one])));
  return { ranges, shared: together ?? (beside.length === 1 ? ranges[0]! : null) };
}
