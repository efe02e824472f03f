// The grid of thumbnails: one canvas for all heads, labels beside it, boxes round what is chosen or pointed at.
import { layerColour } from "../../draw/colour";
import { inkOf } from "../../draw/ink";
import { pixelRatio, prepare } from "../../draw/surface";
import { type Style, thumbnail } from "../../draw/thumbnails";
import { h, s } from "../../ui/dom";
import { type Cell, cellAt, findCell, type Layout, neighbour } from "./layout";
import type { Place } from "./order";
import type { Pictures } from "./pictures";

/** Milliseconds of drawing before the page gets its turn. */
const SLICE = 40;
/** How much of a head below the threshold is covered. */
const VEIL = 0.8;

export interface GridEvents {
  /** On this head, whose thumbnail ends there on the screen; on none. */
  point(place: Place | null, at: { x: number; y: number } | null): void;
  pick(place: Place): void;
  /** Chosen together with others, or no longer. */
  toggle(place: Place): void;
}

export class Grid {
  readonly root: HTMLElement;
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly veil = h("canvas", { "aria-hidden": "true", class: "grid-veil" });
  private readonly labels = h("div", { class: "grid-labels", "aria-hidden": "true" });
  private readonly marks = h("div", { "aria-hidden": "true" });
  private readonly cursor = h("div", { class: "cell-box cell-cursor is-off", role: "gridcell" });
  private readonly row = h("div", { role: "row" }, this.cursor);
  private layout: Layout | null = null;
  private dimmed = new Set<Cell>();
  private chosen: Place[] = [];
  private at: Cell | null = null;
  private turn = 0;
  private readonly name = `grid-${Math.random().toString(36).slice(2, 8)}`;
  /** How thumbnails are drawn now. */
  style: Style = "lines";

  constructor(private readonly events: GridEvents) {
    this.root = h(
      "div",
      { class: "grid", tabindex: 0, role: "grid", "aria-multiselectable": "true", "aria-readonly": "true" },
      this.labels,
      this.canvas,
      this.veil,
      this.marks,
      this.row,
    );
    this.root.addEventListener("pointermove", (event) => this.move(this.find(event)));
    this.root.addEventListener("pointerleave", () => this.move(null));
    this.root.addEventListener("click", (event) => {
      const cell = this.find(event);
      if (!cell) return;
      if (event.shiftKey || event.ctrlKey || event.metaKey) events.toggle(cell);
      else events.pick(cell);
    });
    // A click with Shift would select the page's text.
    this.root.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("blur", () => this.move(null));
  }

  private find(event: MouseEvent): Cell | null {
    const box = this.root.getBoundingClientRect();
    return this.layout && cellAt(this.layout, event.clientX - box.left, event.clientY - box.top);
  }

  private move(cell: Cell | null): void {
    if (cell === this.at) return;
    this.at = cell;
    this.cursor.classList.toggle("is-off", cell === null);
    this.root.style.cursor = cell ? "pointer" : "";
    if (!cell) {
      this.events.point(null, null);
      return;
    }
    this.place(cell);
    const box = this.cursor.getBoundingClientRect();
    this.events.point(cell, { x: box.right, y: box.bottom });
  }

  /** Puts the cursor on a cell; the grid has this one cell for who cannot see the others, and says which it is. */
  private place(cell: Cell): void {
    this.box(this.cursor, cell);
    this.cursor.id = `${this.name}-${cell.layer}-${cell.head}`;
    this.cursor.setAttribute("aria-colindex", String(cell.column + 1));
    this.row.setAttribute("aria-rowindex", String(cell.row + 1));
    this.cursor.setAttribute("aria-label", `layer ${cell.layer}, head ${cell.head}`);
    this.cursor.setAttribute("aria-selected", String(this.isChosen(cell)));
    this.root.setAttribute("aria-activedescendant", this.cursor.id);
  }

  private isChosen = (cell: Place): boolean =>
    this.chosen.some((one) => one.layer === cell.layer && one.head === cell.head);

  private key(event: KeyboardEvent): void {
    const { layout } = this;
    const [first] = layout?.cells ?? [];
    if (!layout || !first || event.altKey || event.metaKey) return;
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (step && !event.ctrlKey) {
      this.move(this.at ? neighbour(layout, this.at, step[0]!, step[1]!) : first);
      this.cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else if (event.key === "Enter" && this.at) this.events.pick(this.at);
    else if (event.key === " " && this.at) this.events.toggle(this.at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private box(element: HTMLElement, cell: Cell): void {
    const { left, top, pitch, size } = this.layout!;
    element.style.left = `${left + cell.column * pitch.x}px`;
    element.style.top = `${top + cell.row * pitch.y}px`;
    element.style.width = element.style.height = `${size}px`;
  }

  /** Boxes round the chosen heads; one round the row when all of a layer's are chosen and stand in it. */
  mark(places: Place[], whole: boolean): void {
    const { layout } = this;
    if (!layout) return;
    this.chosen = places;
    const cells = places.flatMap((place) => findCell(layout, place) ?? []);
    const row = new Set(cells.map((one) => one.row));
    const [first] = cells;
    if (whole && first && row.size === 1 && cells.length > 1) {
      const element = h("div", { class: "cell-box cell-chosen" });
      const last = cells.reduce((a, b) => (b.column > a.column ? b : a));
      this.box(element, first);
      element.style.width = `${(last.column - first.column) * layout.pitch.x + layout.size}px`;
      this.marks.replaceChildren(element);
    } else
      this.marks.replaceChildren(
        ...cells.map((cell) => {
          const element = h("div", { class: "cell-box cell-chosen" });
          this.box(element, cell);
          return element;
        }),
      );
    const at = this.at ?? first ?? layout.cells[0];
    if (at) this.place(at);
  }

  /** Draws all thumbnails; resolves true when done, false when another drawing took over. */
  async draw(layout: Layout, pictures: Pictures, wanted: Style | null, dark: boolean): Promise<boolean> {
    const turn = ++this.turn;
    this.layout = layout;
    this.at = null;
    this.cursor.classList.add("is-off");
    const { size, pitch, left, top } = layout;
    const found = layout.cells.map((cell) => pictures(cell.layer, cell.head));
    const most = found.reduce((most, one) => Math.max(most, one?.rows ?? 1, one?.columns ?? 1), 1);
    // Lines closer than a pixel and a half only make a flat patch; heat still shows their pattern.
    const style = wanted ?? (size * pixelRatio() >= most * 1.5 ? "lines" : "heat");
    this.style = style;
    const ratio = pixelRatio();
    const surface = prepare(this.canvas, layout.width - left, layout.height - top);
    prepare(this.veil, layout.width - left, layout.height - top);
    for (const canvas of [this.canvas, this.veil]) {
      canvas.style.left = `${left}px`;
      canvas.style.top = `${top}px`;
    }
    this.root.style.height = `${layout.height}px`;
    this.root.style.minWidth = `${layout.width}px`;
    this.root.setAttribute("aria-rowcount", String(layout.rows));
    this.root.setAttribute("aria-colcount", String(layout.columns));
    this.label(layout);
    const palette = inkOf(this.root);
    const pixels = Math.round(size * ratio);
    let since = performance.now();
    for (const [n, cell] of layout.cells.entries()) {
      const x = Math.round(cell.column * pitch.x * ratio);
      const y = Math.round(cell.row * pitch.y * ratio);
      const picture = found[n];
      const { context } = surface;
      if (picture && picture.rows > 0 && picture.columns > 0) {
        const colour = layerColour(layout.layers.indexOf(cell.layer), layout.layers.length, dark);
        const drawn = thumbnail(picture, pixels, { colour, style, ratio, dark });
        context.putImageData(new ImageData(drawn, pixels, pixels), x, y);
      }
      context.globalCompositeOperation = "destination-over";
      context.fillStyle = palette.canvas;
      context.fillRect(x, y, pixels, pixels);
      context.globalCompositeOperation = "source-over";
      context.strokeStyle = palette.faint;
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, y + 0.5, pixels - 1, pixels - 1);
      if (performance.now() - since > SLICE) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        if (turn !== this.turn) return false;
        since = performance.now();
      }
    }
    return true;
  }

  /** Covers heads with a veil; thumbnails are not drawn again. */
  dim(below: (place: Place) => boolean): void {
    const { layout } = this;
    if (!layout) return;
    const { context, ratio } = prepare(this.veil, layout.width - layout.left, layout.height - layout.top);
    this.dimmed = new Set(layout.cells.filter(below));
    context.globalAlpha = VEIL;
    context.fillStyle = inkOf(this.root).panel;
    const size = Math.round(layout.size * ratio);
    for (const { row, column } of this.dimmed)
      context.fillRect(
        Math.round(column * layout.pitch.x * ratio),
        Math.round(row * layout.pitch.y * ratio),
        size,
        size,
      );
  }

  describe(said: string): void {
    this.root.setAttribute("aria-label", said);
  }

  private label({ labels }: Layout): void {
    this.labels.replaceChildren(
      ...labels.map(({ text, x, y, anchor, strong }) =>
        h("span", { class: `label-${anchor}${strong ? " is-name" : ""}`, style: `left:${x}px;top:${y}px` }, text),
      ),
    );
  }

  /** What is on screen, to be saved: thumbnails as pixels, labels and boxes as shapes. */
  shapes(): { parts: Node[]; width: number; height: number } {
    const layout = this.layout!;
    const { left, top, size, pitch, width, height } = layout;
    const palette = inkOf(this.root);
    const box = ({ row, column }: Cell): Record<string, number> => {
      return { x: left + column * pitch.x, y: top + row * pitch.y, width: size, height: size };
    };
    const image = {
      x: left,
      y: top,
      width: width - left,
      height: height - top,
      href: this.canvas.toDataURL("image/png"),
    };
    return {
      parts: [
        s("image", image),
        ...[...this.dimmed].map((cell) => s("rect", { ...box(cell), fill: palette.panel, "fill-opacity": VEIL })),
        ...layout.labels.map(({ text, x, y, anchor, strong }) =>
          s("text", { x, y: y + 3.5, "text-anchor": anchor, fill: strong ? palette.ink : palette.dim }, text),
        ),
        ...layout.cells
          .filter(this.isChosen)
          .map((cell) => s("rect", { ...box(cell), fill: "none", stroke: palette.accent, "stroke-width": 1.5, rx: 3 })),
      ],
      width,
      height,
    };
  }
}
