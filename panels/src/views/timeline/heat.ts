// Heat of all heads over all steps: one canvas of one pixel per cell, stretched without smoothing; axes and marks are shapes.
import { layerColour, type Rgb } from "../../draw/colour";
import type { Ink } from "../../draw/ink";
import { h, s } from "../../ui/dom";
import { bestMark, type Marks, stepMarks, text } from "./axes";
import type { Best } from "./beside";
import { scrub, stepKey } from "./scrub";
import type { HeadTable } from "./series";

const EDGE = { left: 44, right: 14, top: 18, bottom: 33 };
const ROW = { least: 2, most: 16 };

export interface HeatData {
  table: HeadTable;
  best: Best | null;
  dark: boolean;
}

/** A cell: a row of the table, and a step. */
export interface HeatCell {
  row: number;
  step: number;
}

export interface HeatEvents {
  /** Over this cell, with where it is on the screen; over none. */
  point(cell: HeatCell | null, at: { x: number; y: number } | null): void;
  open(cell: HeatCell): void;
  brush(a: number, b: number, done: boolean): void;
  /** The cell in words, for who cannot see it. */
  tell(cell: HeatCell): string;
}

export class Heat {
  readonly root = h("div", { class: "heat" });
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly labels = s("svg", { "aria-hidden": "true", class: "heat-labels" });
  private readonly lines = s("svg", { "aria-hidden": "true", class: "heat-lines" });
  private readonly axis = s("svg", { "aria-hidden": "true", class: "heat-axis" });
  private readonly top = s("svg", { "aria-hidden": "true", class: "heat-top" });
  private readonly cell = h("div", { role: "gridcell", class: "cell-box cell-cursor", id: "" });
  private readonly grid: HTMLElement;
  private data: HeatData | null = null;
  private ink: Ink | null = null;
  private width = 0;
  private row = 4;
  private at: HeatCell | null = null;
  private marked: Marks | null = null;
  private readonly name = `heat-${Math.random().toString(36).slice(2, 8)}`;

  constructor(private readonly events: HeatEvents) {
    this.grid = h(
      "div",
      { class: "heat-grid", role: "grid", tabindex: 0, "aria-readonly": "true" },
      this.canvas,
      h("div", { role: "row" }, this.cell),
    );
    this.grid.prepend(this.labels);
    this.grid.append(this.lines);
    this.root.append(this.top, h("div", { class: "heat-scroll" }, this.grid), this.axis);
    this.cell.classList.add("is-off");
    scrub(
      this.grid,
      (event) => this.cellAt(event)?.step ?? null,
      () => this.marked?.step ?? null,
      {
        point: (_, event) => this.move(event.type === "pointerleave" ? null : this.cellAt(event)),
        pick: (_, event) => {
          const cell = this.cellAt(event);
          if (cell) events.open(cell);
        },
        brush: (a, b, done) => events.brush(a, b, done),
      },
      false,
    );
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("blur", () => this.move(null));
  }

  private get column(): number {
    return (this.width - EDGE.left - EDGE.right) / Math.max(1, this.data?.table.steps.length ?? 1);
  }

  private x(step: number): number | null {
    const at = this.data?.table.steps.indexOf(step) ?? -1;
    return at < 0 ? null : EDGE.left + (at + 0.5) * this.column;
  }

  private cellAt(event: MouseEvent): HeatCell | null {
    const { data } = this;
    if (!data) return null;
    const box = this.grid.getBoundingClientRect();
    const at = Math.floor((event.clientX - box.left - EDGE.left) / this.column);
    const row = Math.floor((event.clientY - box.top) / this.row);
    const step = data.table.steps[at];
    return step === undefined || row < 0 || row >= data.table.heads.length ? null : { row, step };
  }

  private move(cell: HeatCell | null): void {
    if (cell?.row === this.at?.row && cell?.step === this.at?.step) return;
    this.at = cell;
    this.cell.classList.toggle("is-off", cell === null);
    if (!cell) {
      this.events.point(null, null);
      return;
    }
    const { left, top } = this.place(cell);
    const box = this.grid.getBoundingClientRect();
    this.events.point(cell, { x: box.left + left + this.column / 2, y: box.top + top + this.row });
  }

  /** Puts the cursor's box on a cell, and says which it is. */
  private place(cell: HeatCell): { left: number; top: number } {
    const { table } = this.data!;
    const column = table.steps.indexOf(cell.step);
    const left = EDGE.left + column * this.column;
    const top = cell.row * this.row;
    const { style } = this.cell;
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.width = `${Math.max(3, this.column)}px`;
    style.height = `${this.row}px`;
    this.cell.id = `${this.name}-${cell.row}-${column}`;
    this.cell.setAttribute("aria-colindex", String(column + 1));
    this.cell.parentElement!.setAttribute("aria-rowindex", String(cell.row + 1));
    this.cell.setAttribute("aria-label", this.events.tell(cell));
    this.grid.setAttribute("aria-activedescendant", this.cell.id);
    return { left, top };
  }

  private key(event: KeyboardEvent): void {
    const { data, marked } = this;
    if (!data || !marked || event.ctrlKey || event.metaKey || event.altKey) return;
    const { steps, heads } = data.table;
    const from = this.at ?? { row: 0, step: marked.step };
    const rows = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      if (!this.at) return;
      this.events.open(this.at);
    } else if (rows !== undefined) {
      const row = Math.max(0, Math.min(heads.length - 1, from.row + (this.at ? rows : 0)));
      this.move({ ...from, row });
      this.cell.scrollIntoView({ block: "nearest" });
    } else if (event.shiftKey) {
      const next = stepKey(event.key, steps, marked.other ?? marked.step);
      if (next === null) return;
      this.events.brush(marked.step, next, true);
    } else {
      const next = stepKey(event.key, steps, from.step);
      if (next === null) return;
      this.move({ ...from, step: this.at ? next : from.step });
    }
    event.preventDefault();
    event.stopPropagation();
  }

  draw(data: HeatData, width: number, height: number, ink: Ink): void {
    this.data = data;
    this.ink = ink;
    this.width = width;
    const { heads, steps } = data.table;
    const room = Math.floor((height - EDGE.top - EDGE.bottom) / Math.max(1, heads.length));
    this.row = Math.max(ROW.least, Math.min(ROW.most, room));
    const tall = heads.length * this.row;
    const across = width - EDGE.left - EDGE.right;
    this.canvas.width = Math.max(1, steps.length);
    this.canvas.height = Math.max(1, heads.length);
    const context = this.canvas.getContext("2d") as CanvasRenderingContext2D;
    if (heads.length > 0)
      context.putImageData(
        new ImageData(heatPixels(data.table, layerColours(data), [128, 128, 128]), steps.length),
        0,
        0,
      );
    this.canvas.style.cssText = `left:${EDGE.left}px;width:${across}px;height:${tall}px;background:${ink.canvas}`;
    this.grid.style.height = `${tall}px`;
    this.grid.setAttribute("aria-rowcount", String(heads.length));
    this.grid.setAttribute("aria-colcount", String(steps.length));
    for (const [svg, high] of [
      [this.labels, tall],
      [this.lines, tall],
      [this.axis, EDGE.bottom],
      [this.top, EDGE.top],
    ] as const) {
      svg.setAttribute("width", String(svg === this.labels ? EDGE.left : width));
      svg.setAttribute("height", String(high));
    }
    this.labels.replaceChildren(...this.rowLabels());
    this.axis.replaceChildren(...this.columnLabels());
    this.at = null;
    this.cell.classList.add("is-off");
    if (heads.length > 0) this.place({ row: 0, step: steps[0]! });
  }

  label(said: string): void {
    this.grid.setAttribute("aria-label", said);
  }

  mark(marks: Marks): void {
    if (!this.data || !this.ink) return;
    this.marked = marks;
    const tall = this.data.table.heads.length * this.row;
    const x = (step: number): number | null => this.x(step);
    this.lines.replaceChildren(...stepMarks(marks, x, 0, tall, this.ink, false));
    this.top.replaceChildren(...stepMarks(marks, x, 15, EDGE.top, this.ink));
  }

  /** A stripe in each layer's colour, with its number where there is room; single heads where rows are tall. */
  private rowLabels(): Node[] {
    const ink = this.ink!;
    const parts: Node[] = [];
    const colours = layerColours(this.data!);
    let free = -1;
    for (const { layer, first, end } of layerRows(this.data!.table)) {
      const top = first * this.row;
      const high = (end - first) * this.row;
      const [r, g, b] = colours[first]!.map(Math.round);
      parts.push(s("rect", { x: 38, y: top, width: 4, height: Math.max(1, high - 1), fill: `rgb(${r},${g},${b})` }));
      if (this.row >= 11) {
        for (let row = first; row < end; row++)
          parts.push(
            text(
              34,
              row * this.row + this.row / 2 + 3.5,
              ink.dim,
              `${layer}.${this.data!.table.heads[row]!.head}`,
              "end",
            ),
          );
      } else if (top + high / 2 - 6 >= free) {
        parts.push(text(34, top + high / 2 + 3.5, ink.dim, String(layer), "end"));
        free = top + high / 2 + 6;
      }
    }
    return parts;
  }

  private columnLabels(): Node[] {
    const ink = this.ink!;
    const { table, best } = this.data!;
    const parts: Node[] = [];
    const every = Math.max(1, Math.ceil(58 / this.column));
    table.steps.forEach((step, at) => {
      if (at % every !== 0) return;
      const x = this.x(step)!;
      parts.push(
        s("line", { x1: x, x2: x, y1: 0, y2: 3, stroke: ink.line }),
        text(x, 17, ink.dim, String(step), "middle"),
      );
    });
    parts.push(text(EDGE.left + (this.width - EDGE.left - EDGE.right) / 2, 30, ink.dim, "step", "middle"));
    parts.push(text(34, 17, ink.dim, this.row >= 11 ? "head" : "layer", "end"));
    const x = best && this.x(best.step);
    if (best && x !== null) parts.push(bestMark(x, 3, ink, `best ${best.name} at step ${best.step}`));
    return parts;
  }

  /** What there is, all rows of it, to be saved. */
  shapes(): { parts: Node[]; width: number; height: number } {
    const tall = this.data!.table.heads.length * this.row;
    const group = (top: number, children: Iterable<Node>): SVGElement =>
      s("g", { transform: `translate(0 ${top})` }, ...[...children].map((one) => one.cloneNode(true)));
    const place = { x: EDGE.left, y: EDGE.top, width: this.width - EDGE.left - EDGE.right, height: tall };
    const image = s("image", {
      ...place,
      preserveAspectRatio: "none",
      "image-rendering": "pixelated",
      href: this.canvas.toDataURL("image/png"),
    });
    return {
      parts: [
        group(0, this.top.childNodes),
        s("rect", { ...place, fill: this.ink!.canvas }),
        image,
        group(EDGE.top, [...this.labels.childNodes, ...this.lines.childNodes]),
        group(EDGE.top + tall, this.axis.childNodes),
      ],
      width: this.width,
      height: EDGE.top + tall + EDGE.bottom,
    };
  }
}

/** The rows of each layer. */
export function layerRows({ heads }: HeadTable): { layer: number; first: number; end: number }[] {
  const found: { layer: number; first: number; end: number }[] = [];
  heads.forEach(({ layer }, row) => {
    const last = found[found.length - 1];
    if (last?.layer === layer) last.end = row + 1;
    else found.push({ layer, first: row, end: row + 1 });
  });
  return found;
}

/** One colour for each row, that of its layer. */
function layerColours({ table, dark }: HeatData): Rgb[] {
  const layers = layerRows(table);
  return layers.flatMap(({ first, end }, n) =>
    Array.from({ length: end - first }, () => layerColour(n, layers.length, dark)),
  );
}

/** One pixel per cell: the layer's colour, the more opaque the greater the value; grey where nothing is known. */
export function heatPixels(table: HeadTable, colours: readonly Rgb[], unknown: Rgb): Uint8ClampedArray<ArrayBuffer> {
  const { values, most, steps } = table;
  const out = new Uint8ClampedArray(values.length * 4);
  for (let i = 0, at = 0; i < values.length; i++, at += 4) {
    const value = values[i]!;
    const colour = Number.isNaN(value) ? unknown : colours[Math.floor(i / steps.length)]!;
    out[at] = colour[0];
    out[at + 1] = colour[1];
    out[at + 2] = colour[2];
    out[at + 3] = Number.isNaN(value) ? 40 : most > 0 ? 255 * (value / most) : 0;
  }
  return out;
}
