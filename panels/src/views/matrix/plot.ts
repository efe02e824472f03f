// One matrix on a canvas with its axes: pointer and keyboard find cells, drags choose a part to look at.
import { heatPixels, type Shades } from "../../draw/heat";
import { prepare, put } from "../../draw/surface";
import type { Item } from "../../session/shape/items";
import type { Cells } from "../../session/shape/pool";
import { h } from "../../ui/dom";
import { plain } from "../../ui/tokens";
import type { Region } from "./region";

/** Least distance of two labels of an axis. */
const PITCH = 12;
const TITLE = 20;
/** Room for labels: as much as the longest takes, within bounds. */
const LABEL = { least: 22, left: 104, top: 92, letter: 6.6 };

export interface Cell {
  row: number;
  column: number;
}

/** A cell, or a whole row or column: null is all of them. */
export interface Place {
  row: number | null;
  column: number | null;
}

export interface PlotSpec {
  title: string;
  /** Screen readers hear this. */
  about: string;
  region: Region;
  cells: Cells;
  shades: Shades;
  /** Room for the matrix itself, in CSS pixels. */
  width: number;
  height: number;
  axes: Axes | null;
  margins: Margins;
  ratio: number;
}

export interface PlotEvents {
  point(cell: Cell | null): void;
  pick(cell: Cell): void;
  zoom(part: Region): void;
  wheel(cell: Cell, factor: number): void;
}

/** Items of both axes, as they are labelled. */
export interface Axes {
  queries: readonly Item[];
  keys: readonly Item[];
  byteLevel: boolean;
}

export interface Margins {
  left: number;
  top: number;
}

/** Width and height that axes and title take. */
export function marginsOf(axes: Axes | null): Margins {
  if (!axes) return { left: 0, top: TITLE };
  const room = (items: readonly Item[], most: number): number => {
    const letters = items.reduce((longest, one) => Math.max(longest, [...labelOf(one, axes)].length), 0);
    const number = String(items.length).length + 1;
    return Math.round(Math.max(LABEL.least, Math.min(most, (letters + number) * LABEL.letter + 10)));
  };
  return { left: room(axes.queries, LABEL.left), top: TITLE + room(axes.keys, LABEL.top) };
}

const labelOf = (item: Item, { byteLevel }: Axes): string => plain(item.text, byteLevel, 14);

export class Plot {
  readonly root: HTMLElement;
  private readonly canvas = h("canvas", { role: "img" });
  private readonly title = h("div", { class: "plot-title" });
  private readonly rows = h("div", { class: "plot-rows", "aria-hidden": "true" });
  private readonly columns = h("div", { class: "plot-columns", "aria-hidden": "true" });
  private readonly box = h("div", { class: "plot-box" });
  private readonly cross = h("div", { class: "plot-cross" });
  private spec: PlotSpec | null = null;
  private from: { x: number; y: number; over: "cells" | "rows" | "columns" } | null = null;

  constructor(private readonly events: PlotEvents) {
    this.box.hidden = this.cross.hidden = true;
    this.root = h("div", { class: "plot" }, this.title, this.columns, this.rows, this.canvas, this.cross, this.box);
    this.root.addEventListener("pointermove", (event) => this.move(event));
    this.root.addEventListener("pointerleave", () => {
      if (!this.from) this.events.point(null);
    });
    this.root.addEventListener("pointerdown", (event) => this.begin(event));
    this.root.addEventListener("pointerup", (event) => this.end(event));
    this.root.addEventListener("pointercancel", () => this.stop());
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        // A plain wheel scrolls the page; with Ctrl, as in maps, it zooms.
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const cell = this.cellAt(event);
        if (cell) this.events.wheel(cell, event.deltaY > 0 ? 1.25 : 0.8);
      },
      { passive: false },
    );
  }

  draw(spec: PlotSpec): void {
    this.spec = spec;
    const { left, top } = spec.margins;
    this.title.textContent = spec.title;
    this.root.style.width = `${left + spec.width}px`;
    this.root.style.height = `${top + spec.height}px`;
    const surface = prepare(this.canvas, spec.width, spec.height);
    this.canvas.style.left = `${left}px`;
    this.canvas.style.top = `${top}px`;
    this.canvas.setAttribute("aria-label", spec.about);
    const { width, height } = this.canvas;
    put(surface, heatPixels(spec.cells, width, height, spec.shades), width, height);
    this.cross.hidden = true;
    this.label(spec);
  }

  private label({ axes, region, width, height, margins }: PlotSpec): void {
    if (!axes) {
      this.rows.replaceChildren();
      this.columns.replaceChildren();
      return;
    }
    const { left, top } = margins;
    const labels = (items: readonly Item[], first: number, end: number, room: number, make: Make): HTMLElement[] => {
      const pitch = room / (end - first);
      const every = Math.max(1, Math.ceil(PITCH / pitch));
      const list: HTMLElement[] = [];
      for (let at = Math.ceil(first / every) * every; at < end; at += every) {
        const item = items[at]!;
        const text = labelOf(item, axes);
        const number = every > 1 ? `${at} ` : "";
        list.push(make(text, (at - first + 0.5) * pitch, item.special, number));
      }
      return list;
    };
    const room = left >= LABEL.least;
    this.rows.replaceChildren(
      ...(room ? labels : () => [])(axes.queries, region.top, region.bottom, height, (text, at, special, number) =>
        h(
          "span",
          { class: special ? "is-special" : null, style: `top:${top + at}px;width:${left - 8}px` },
          number,
          h("bdi", {}, text),
        ),
      ),
    );
    this.columns.replaceChildren(
      ...labels(axes.keys, region.left, region.right, width, (text, at, special, number) =>
        h(
          "span",
          { class: special ? "is-special" : null, style: `left:${left + at}px;height:${top - TITLE - 6}px` },
          number,
          h("bdi", {}, text),
        ),
      ),
    );
  }

  private spot(event: MouseEvent): { x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private cellAt(event: MouseEvent, clamp = false): Cell | null {
    const { spec } = this;
    if (!spec) return null;
    const { region, width, height } = spec;
    let { x, y } = this.spot(event);
    if (clamp) {
      x = Math.max(0, Math.min(width - 0.01, x));
      y = Math.max(0, Math.min(height - 0.01, y));
    }
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    return {
      row: region.top + Math.floor((y / height) * (region.bottom - region.top)),
      column: region.left + Math.floor((x / width) * (region.right - region.left)),
    };
  }

  private begin(event: PointerEvent): void {
    if (event.button !== 0 || !this.spec) return;
    const { x, y } = this.spot(event);
    const { width, height, axes } = this.spec;
    const over = x >= 0 && y >= 0 ? "cells" : x < 0 && y >= 0 ? "rows" : "columns";
    if ((over !== "cells" && !axes) || x >= width || y >= height) return;
    this.from = { x, y, over };
    this.root.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  private move(event: PointerEvent): void {
    const { from, spec } = this;
    if (!from || !spec) {
      this.events.point(this.cellAt(event));
      return;
    }
    const { x, y } = this.spot(event);
    const { left, top } = spec.margins;
    const all = { x: [0, spec.width], y: [0, spec.height] };
    const [x0, x1] = from.over === "rows" ? all.x : [Math.min(from.x, x), Math.max(from.x, x)];
    const [y0, y1] = from.over === "columns" ? all.y : [Math.min(from.y, y), Math.max(from.y, y)];
    this.box.hidden = !this.moved(x, y);
    const within = (value: number, most: number): number => Math.max(0, Math.min(most, value));
    const [l, r] = [within(x0!, spec.width), within(x1!, spec.width)];
    const [t, b] = [within(y0!, spec.height), within(y1!, spec.height)];
    Object.assign(this.box.style, {
      left: `${left + l}px`,
      top: `${top + t}px`,
      width: `${r - l}px`,
      height: `${b - t}px`,
    });
  }

  private moved(x: number, y: number): boolean {
    return this.from !== null && Math.hypot(x - this.from.x, y - this.from.y) > 5;
  }

  private end(event: PointerEvent): void {
    const { from, spec } = this;
    if (!from || !spec) return;
    const { x, y } = this.spot(event);
    const cell = this.cellAt(event, true);
    const dragged = this.moved(x, y);
    this.stop();
    if (!cell) return;
    if (!dragged) {
      if (from.over === "cells") this.events.pick(cell);
      return;
    }
    const { region, width, height } = spec;
    const row = region.top + Math.floor((Math.max(0, from.y) / height) * (region.bottom - region.top));
    const column = region.left + Math.floor((Math.max(0, from.x) / width) * (region.right - region.left));
    const part = { ...region };
    if (from.over !== "columns") {
      part.top = Math.min(row, cell.row);
      part.bottom = Math.max(row, cell.row) + 1;
    }
    if (from.over !== "rows") {
      part.left = Math.min(column, cell.column);
      part.right = Math.max(column, cell.column) + 1;
    }
    this.events.zoom(part);
  }

  private stop(): void {
    this.from = null;
    this.box.hidden = true;
  }

  /** Shows where a cell is, or a whole row or column. */
  mark(place: Place | null): void {
    const { spec } = this;
    const within = (at: number | null, first: number, end: number): boolean => at === null || (at >= first && at < end);
    const inside =
      place &&
      spec &&
      within(place.row, spec.region.top, spec.region.bottom) &&
      within(place.column, spec.region.left, spec.region.right);
    this.cross.hidden = !inside;
    if (!inside) return;
    const { region, width, height } = spec;
    const { left, top } = spec.margins;
    const { row, column } = place;
    const pitch = { x: width / (region.right - region.left), y: height / (region.bottom - region.top) };
    Object.assign(this.cross.style, {
      left: `${left + (column === null ? 0 : (column - region.left) * pitch.x)}px`,
      top: `${top + (row === null ? 0 : (row - region.top) * pitch.y)}px`,
      width: `${column === null ? width : Math.max(2, pitch.x)}px`,
      height: `${row === null ? height : Math.max(2, pitch.y)}px`,
    });
  }

  /** What the canvas shows, for pictures that are saved. */
  get image(): HTMLCanvasElement {
    return this.canvas;
  }
}

type Make = (text: string, at: number, special: boolean, number: string) => HTMLElement;
