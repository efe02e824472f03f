// The matrix view: weights of a layer as heat, one head large or several side by side, and A, B and B − A.
import { pixelRatio } from "../../draw/surface";
import { NEGATIVE, POSITIVE } from "../../draw/colour";
import type { Ink } from "../../draw/ink";
import { findLayer } from "../../session/scene";
import type { Pointed } from "../../session/pointing";
import type { Session } from "../../session/session";
import { type Item, itemAt, positionOf } from "../../session/shape/items";
import type { Shaped } from "../../session/shape/shape";
import { Choice, chooseOption } from "../../ui/controls";
import { h, short, signedText, weightText } from "../../ui/dom";
import { isByteLevel, plain } from "../../ui/tokens";
import { Chips } from "../head/chips";
import { leastOf, WeightControls } from "../layer/controls";
import { LayerReader, wantedOf } from "../layer/reader";
import { headName, TopTable } from "../layer/table";
import { takeLayer } from "../layer/take";
import { topWeights } from "../layer/top";
import { layerTitle, layerWords } from "../layer/words";
import { chosenHeads } from "../../session/state";
import { Frame, readyKey, type Shown, type Take, type View, type ViewType } from "../view";
import { cellsOf, greatest, type Panel, panelsOf, type Pooled } from "./panels";
import { type Cell, marginsOf, type Margins, Plot, type PlotSpec } from "./plot";
import { holding, type Region, regionOf, regionText, zoomed } from "./region";
import { matrixPicture } from "./svg";

const GAP = 14;
const SCROLL_BAR = 16;
/** Room on the left of a plot whose rows are labelled by the one before it. */
const INNER = 8;
const LEAST_SIZE = 72;
const READABLE = 150;
const LARGEST_CELL = 34;
/** From this many plots on they have no axes: pointing says which tokens a cell is of. */
const WITHOUT_AXES = 4;

class MatrixView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("matrix", "matrix view");
  private readonly chips: Chips;
  private readonly controls: WeightControls;
  private readonly scale: Choice;
  private readonly reader: LayerReader;
  private readonly wrap = h("div", { class: "plots" });
  private readonly said = h("p", { class: "matrix-said num", "aria-live": "polite" });
  private readonly legend = h("div", { class: "matrix-legend num" });
  private readonly note = h("p", { class: "foot-note" });
  private readonly table = new TopTable();
  private readonly observer: ResizeObserver;
  private readonly whole: HTMLButtonElement;
  private plots: Plot[] = [];
  private specs: PlotSpec[] = [];
  private panels: Panel[] = [];
  private pooled: Pooled[] = [];
  private shaped: Shaped | null = null;
  private shown: Shown | null = null;
  private key = "";
  private byteLevel = false;
  private cell: Cell | null = null;
  private size = "";

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    this.chips = new Chips((heads) => session.set({ heads }));
    this.controls = new WeightControls(session);
    this.scale = new Choice("scale", "scale of the matrix", (value) =>
      chooseOption(session, "matrix.scale", value, "max"),
    );
    const reset = (): void => session.choose({ "matrix.zoom": null });
    this.whole = h(
      "button",
      { class: "btn", type: "button", title: "show the whole matrix (0)", onclick: reset },
      "whole",
    );
    this.frame.controls.append(...this.controls.elements, this.scale.root, this.whole);
    this.wrap.tabIndex = 0;
    this.wrap.setAttribute("role", "group");
    this.wrap.setAttribute(
      "aria-label",
      "matrix: arrows move from cell to cell, plus and minus zoom, 0 shows the whole, Enter chooses the query",
    );
    // Who has dragged goes on by keys.
    this.wrap.addEventListener("pointerdown", () => this.wrap.focus({ preventScroll: true }));
    this.wrap.addEventListener("keydown", (event) => this.press(event));
    this.wrap.addEventListener("dblclick", reset);
    session.pointing.follow(this, (at) => this.follow(at));
    this.reader = new LayerReader({
      ready: () => {
        // A cell stays through zooms and switches, but not through other weights.
        this.cell = null;
        this.key = "";
        this.render();
      },
      fail: (error) => this.frame.say(error, this.ready()),
    });
    this.observer = new ResizeObserver(() => {
      const size = `${this.frame.body.clientWidth} ${this.frame.body.clientHeight}`;
      if (size === this.size || !this.shaped) return;
      this.size = size;
      this.key = "";
      this.render();
    });
    this.observer.observe(this.frame.body);
  }

  private ready(): string {
    const { state } = this.shown!;
    return readyKey(state.step, state.input, state.kind, state.layer);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { state, scene } = shown;
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    const chosen = chosenHeads(state, scene);
    this.chips.update(entry?.heads ?? [], chosen, shown.dark);
    this.frame.title.replaceChildren(...layerTitle(shown, "Matrix"));
    this.frame.controls.hidden = !entry;
    if (this.reader.update(shown)) {
      this.render();
      return;
    }
    this.frame.pending();
    this.shaped = null;
    this.root.classList.add("is-waiting");
  }

  private region(): Region {
    const { queries, keys } = this.shaped!;
    return regionOf(this.shown!.state.options["matrix.zoom"], queries.length, keys.length);
  }

  private render(): void {
    const shown = this.shown!;
    const { state, dark, session } = shown;
    const { body } = this.frame;
    if (this.wrap.parentElement !== body) {
      body.replaceChildren(this.chips.root, this.said, this.wrap, this.legend, this.note, this.table.root);
      this.key = "";
    }
    const { options } = state;
    const wanted = JSON.stringify(wantedOf(shown));
    const key = `${this.reader.source} ${wanted} ${options["matrix.zoom"]} ${options["matrix.scale"]} ${leastOf(shown)} ${dark}`;
    if (key !== this.key) {
      this.frame.pending();
      this.key = key;
      const shaped = this.reader.shape(shown);
      this.shaped = shaped;
      const alone = shown.other && shaped.heads.length === 1;
      const sides = alone ? { a: this.reader.shape(shown, "a"), b: this.reader.shape(shown, "b") } : null;
      this.panels = panelsOf(shaped, sides, { a: this.reader.a!, b: this.reader.b }, dark);
      const texts = [...shaped.queries, ...shaped.keys].map((one) => one.text);
      this.byteLevel = options["weights.words"] !== "1" && isByteLevel(texts);
      // Words come first: they take room from the plots.
      this.note.textContent = layerWords(shown, this.reader.a!, shaped);
      this.draw(shaped);
      const layout = { queries: shaped.queries.length, keys: shaped.keys.length };
      const least = leastOf(shown);
      this.table.update({ ...shaped, byteLevel: this.byteLevel }, () => topWeights(shaped.heads, layout, 24, least));
      this.controls.update(shown, [this.reader.a, this.reader.b], 0);
      const scale = options["matrix.scale"] === "one" ? "one" : "max";
      this.scale.update(
        [
          { value: "max", name: "to the greatest" },
          { value: "one", name: "0 to 1" },
        ],
        scale,
      );
      this.whole.disabled = regionText(this.region(), layout.queries, layout.keys) === null;
    }
    const { cell, shaped } = this;
    const inside = cell && shaped && cell.row < shaped.queries.length && cell.column < shaped.keys.length;
    this.tell(inside ? cell : null);
    this.follow(session.pointing.of(this));
    this.frame.ready(this.ready());
  }

  /** As large as all plots can be in the room there is. */
  private layout(count: number, region: Region, around: Margins): { width: number; height: number; across: number } {
    const { body } = this.frame;
    this.size = `${body.clientWidth} ${body.clientHeight}`;
    const fit = this.root.closest("[data-fit]:not([data-narrow])") !== null;
    // What stands above and below the plots, and the room of a scroll bar, which may come and go.
    const others = [this.chips.root, this.said, this.legend, this.note, this.table.root];
    const used = others.reduce((sum, one) => sum + one.offsetHeight, 0) + 24;
    const room = {
      width: Math.max(200, body.clientWidth - 28 - SCROLL_BAR),
      height: fit ? Math.max(220, body.clientHeight - used) : 520,
    };
    const [rows, columns] = [region.bottom - region.top, region.right - region.left];
    let best = { width: LEAST_SIZE, height: LEAST_SIZE, across: 1 };
    let most = 0;
    for (let across = 1; across <= count; across++) {
      const down = Math.ceil(count / across);
      // Those of one row share the labels of their rows.
      const width = (room.width - GAP * (across - 1) - around.left - INNER * (across - 1)) / across;
      const seen = (room.height - GAP * (down - 1)) / down - around.top;
      // Several rows may scroll: smaller than this they could not be read.
      const height = Math.max(seen, count > 1 ? READABLE : 0);
      if (width < LEAST_SIZE) break;
      // Cells are square where both sides leave a choice, and never so large that a few tokens fill the page.
      const cell = Math.min(LARGEST_CELL, width / columns, Math.max(height, LEAST_SIZE) / rows);
      const size = { width: Math.max(LEAST_SIZE, cell * columns), height: Math.max(LEAST_SIZE, cell * rows) };
      const fitted = { width: Math.min(width, size.width), height: size.height, across };
      // What is in sight at once is worth twice what has to be scrolled to.
      const worth = fitted.width * fitted.height * (fitted.height <= seen ? 2 : 1);
      if (worth > most) [best, most] = [fitted, worth];
    }
    return { width: Math.floor(best.width), height: Math.floor(best.height), across: best.across };
  }

  private draw(shaped: Shaped): void {
    const { dark, state } = this.shown!;
    const region = this.region();
    const ratio = pixelRatio();
    const axes = this.panels.length < WITHOUT_AXES ? { ...shaped, byteLevel: this.byteLevel } : null;
    const margins = marginsOf(axes);
    const { width, height, across } = this.layout(this.panels.length, region, margins);
    const [w, hh] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.pooled = this.panels.map((panel) => cellsOf(panel, region, w, hh));
    const one = state.options["matrix.scale"] === "one";
    const most = (signed: boolean): number =>
      greatest(this.pooled.flatMap((pooled, n) => (this.panels[n]!.signed === signed ? [pooled.cells] : [])));
    const scales = { plain: one ? 1 : most(false), signed: one ? 1 : most(true) };
    while (this.plots.length < this.panels.length) this.plots.push(this.plot(this.plots.length));
    this.wrap.replaceChildren(...this.plots.slice(0, this.panels.length).map((plot) => plot.root));
    const unknown = dark ? ([150, 156, 166] as const) : ([128, 134, 144] as const);
    const count = `${region.bottom - region.top} query by ${region.right - region.left} key tokens`;
    this.specs = this.panels.map((panel, n) => ({
      title: panel.title,
      about: `${panel.title}: ${panel.signed ? "differences" : "weights"} of ${count}, layer ${state.layer}`,
      region,
      cells: this.pooled[n]!.cells,
      shades: {
        colour: panel.colour,
        negative: panel.negative,
        unknown,
        scale: panel.signed ? scales.signed : scales.plain,
        least: leastOf(this.shown!),
      },
      width,
      height,
      axes,
      margins: n % across === 0 ? margins : { ...margins, left: axes ? INNER : 0 },
      ratio,
    }));
    for (const [n, spec] of this.specs.entries()) this.plots[n]!.draw(spec);
    this.explain(shaped, scales);
  }

  private plot(n: number): Plot {
    return new Plot({
      point: (cell) => this.tell(cell, n),
      pick: (cell) => this.pick(cell, n),
      zoom: (part) => this.zoom(part),
      wheel: (cell, factor) => {
        const { queries, keys } = this.shaped!;
        this.zoom(zoomed(this.region(), cell, factor, queries.length, keys.length));
      },
    });
  }

  private zoom(part: Region): void {
    const { queries, keys } = this.shaped!;
    this.session.choose({ "matrix.zoom": regionText(part, queries.length, keys.length) });
  }

  /** A click on one of several heads opens it; on the only one it chooses the query. */
  private pick(cell: Cell, n: number): void {
    const panel = this.panels[n];
    if (this.panels.length >= WITHOUT_AXES && panel && panel.rows.head >= 0)
      this.session.set({ heads: [panel.rows.head] });
    else this.choose(cell);
  }

  private choose({ row }: Cell): void {
    const item = this.shaped?.queries[row];
    if (item?.a) this.session.set({ query: item.a.start });
  }

  /** Says what a cell is of, in all plots at once. */
  private tell(cell: Cell | null, of = 0): void {
    this.cell = cell;
    for (const plot of this.plots) plot.mark(cell);
    const { shaped, panels } = this;
    const at = shaped && cell && { query: startOf(shaped.queries, cell.row), key: startOf(shaped.keys, cell.column) };
    this.session.pointing.point(this, at);
    if (!cell || !shaped) {
      const many = panels.length >= WITHOUT_AXES;
      const click = many ? "Click opens a head" : "Click chooses the query";
      this.said.textContent = `Point at a cell to read its weight. ${click}, dragging zooms, also along an axis.`;
      return;
    }
    const name = (items: Shaped["queries"], at: number): string => {
      const item = items[at]!;
      return `${plain(item.text, this.byteLevel, 20)} (${positionOf(item)})`;
    };
    const value = ({ rows, signed }: Panel): string => {
      const weight = rows.at(cell.row, cell.column);
      if (weight !== null) return signed ? signedText(weight) : weightText(weight);
      const there = (items: Shaped["queries"], at: number): boolean =>
        !this.shown!.other || !!(items[at]!.a && items[at]!.b);
      return there(shaped.queries, cell.row) && there(shaped.keys, cell.column) ? "not stored" : "only in one of both";
    };
    const few = panels.length < WITHOUT_AXES ? panels : [panels[of] ?? panels[0]!];
    const values = few.map((panel) => (few.length > 1 ? `${panel.title}: ${value(panel)}` : value(panel)));
    const head = panels.length >= WITHOUT_AXES ? `${few[0]!.title}, ` : "";
    this.said.textContent = `${head}${name(shaped.queries, cell.row)} → ${name(shaped.keys, cell.column)}: ${values.join(" · ")}`;
  }

  /** Marks what another view points at: a cell, or the row or column of a token. */
  private follow(at: Pointed | null): void {
    const { shaped } = this;
    if (!shaped || this.root.hidden) return;
    const place = (items: Shaped["queries"], position: number | null): number | null => {
      const found = position === null ? -1 : itemAt(items, position);
      return found < 0 ? null : found;
    };
    const row = at && place(shaped.queries, at.query);
    const column = at && place(shaped.keys, at.key);
    for (const plot of this.plots) plot.mark(row === null && column === null ? this.cell : { row, column });
  }

  private press(event: KeyboardEvent): void {
    const { shaped } = this;
    if (!shaped) return;
    const region = this.region();
    const [rows, columns] = [shaped.queries.length, shaped.keys.length];
    const at = this.cell ?? { row: region.top, column: region.left };
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (step) {
      const by = event.shiftKey ? 10 : this.cell ? 1 : 0;
      const row = Math.max(0, Math.min(rows - 1, at.row + step[0]! * by));
      const column = Math.max(0, Math.min(columns - 1, at.column + step[1]! * by));
      const held = holding(region, row, column);
      if (regionText(held, rows, columns) !== regionText(region, rows, columns)) this.zoom(held);
      this.tell({ row, column });
    } else if (event.key === "+" || event.key === "=") this.zoom(zoomed(region, at, 0.5, rows, columns));
    else if (event.key === "-") this.zoom(zoomed(region, at, 2, rows, columns));
    else if (event.key === "0") this.session.choose({ "matrix.zoom": null });
    else if (event.key === "Enter" && this.cell) this.choose(this.cell);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** What colours stand for, and what has to be known to read them. */
  private explain(shaped: Shaped, scales: { plain: number; signed: number }): void {
    const { dark } = this.shown!;
    const theme = dark ? "dark" : "light";
    const [first] = this.panels;
    const bar = (from: string, to: string): HTMLElement =>
      h("span", { class: "legend-bar", style: `background:linear-gradient(to right,${from},${to})` });
    const rgb = (colour: readonly number[]): string => `rgb(${colour.join(" ")})`;
    const parts: (HTMLElement | string)[] = [];
    if (first && !first.signed) parts.push("0", bar("transparent", rgb(first.colour)), short(scales.plain));
    if (shaped.signed) {
      const [low, high] = [rgb(NEGATIVE[theme]), rgb(POSITIVE[theme])];
      parts.push(
        h("span", { class: "legend-next" }, `−${short(scales.signed)}`),
        bar(low, "transparent"),
        "0",
        bar("transparent", high),
        `+${short(scales.signed)}`,
      );
    }
    const hatched = this.pooled.some(({ cells }) => cells.values.some(Number.isNaN));
    if (hatched)
      parts.push(h("span", { class: "legend-hatch" }), this.shown!.other ? "not known in both" : "not stored");
    parts.push(h("span", { class: "dim" }, "colour by the square root"));
    this.legend.replaceChildren(...parts);
    const far = this.pooled.some((one) => one.picture);
    const several = this.pooled.some((one) => one.several);
    this.note.textContent = [
      layerWords(this.shown!, this.reader.a!, shaped),
      far
        ? "From afar: the recorded picture, the greatest of all weights in each cell. Zoom in for single weights."
        : "",
      several && !far ? "Several weights share a pixel: the greatest is drawn. Zoom in for single weights." : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  take(): Take | null {
    const { shown, shaped } = this;
    if (!shown || !shaped || this.specs.length === 0) return null;
    const images = this.plots.map((one) => one.image);
    const picture = (ink: Ink): ReturnType<typeof matrixPicture> => matrixPicture(this.specs, images, ink);
    return takeLayer("matrix", shown, this.reader, shaped, leastOf(shown), picture, this.root);
  }

  inspect(): Record<string, unknown> {
    const { shaped } = this;
    return {
      heads: this.panels.map((one) => headName(one.rows.head)),
      titles: this.panels.map((one) => one.title),
      weights: (n: number) => this.panels[n]?.rows.arrays() ?? null,
      cells: (n: number) => this.pooled[n]?.cells ?? null,
      picture: this.pooled.map((one) => one.picture),
      region: shaped ? this.region() : null,
      scales: this.specs.map((one) => one.shades.scale),
      cell: this.cell,
      said: this.said.textContent,
    };
  }

  destroy(): void {
    this.session.pointing.forget(this);
    this.reader.close();
    this.observer.disconnect();
  }
}

/** Where an item begins in the text that is shown; null where only B has it. */
const startOf = (items: readonly Item[], at: number): number | null => items[at]?.a?.start ?? null;

export const matrixView: ViewType = {
  name: "matrix",
  title: "matrix",
  area: "centre",
  order: 0,
  make: (session) => new MatrixView(session),
};
