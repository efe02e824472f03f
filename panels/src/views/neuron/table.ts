// Rows of the neuron view: key tokens as text, vectors as strips on one canvas, numbers and bars beside them.
import { paintStrips, type Strip } from "../../draw/strips";
import { prepare } from "../../draw/surface";
import { h } from "../../ui/dom";
import { Rows, rowWindow } from "../../ui/rows";
import { tokenText, tokenTitle } from "../../ui/tokens";
import { type Names, nameOf } from "../tokens/names";
import { type Column, columnsOf } from "./columns";
import type { NeuronData } from "./data";
import { reordered } from "./sorting";
import { type StripColumn, stripWords } from "./strips";

export const ROW = 22;
const STRIP = 13;

/** A cell of a strip: its row (−1: the query's), the strip, and the neuron as it stands there. */
interface Spot {
  row: number;
  strip: number;
  d: number;
}

export class NeuronTable {
  readonly root: HTMLElement;
  private readonly heads = h("div", { class: "neuron-row neuron-heads" });
  private readonly queryRow = h("div", { class: "neuron-row neuron-query" });
  private readonly queryCanvas = h("canvas", { class: "neuron-strips", role: "img" });
  private readonly canvas = h("canvas", { class: "neuron-strips", role: "img" });
  private readonly mark = h("div", { class: "neuron-mark", hidden: true });
  private readonly rows: Rows;
  private readonly scroller: HTMLElement;
  private data: NeuronData | null = null;
  private dark = false;
  private strips: StripColumn[] = [];
  columns: Column[] = [];
  /** Rows in sight. */
  sight = { first: 0, end: 0 };
  private spot: Spot | null = null;
  /** The key that another view points at. */
  private pointed: number | null = null;

  constructor(
    label: string,
    private readonly tell: (words: string) => void,
    /** The key whose row the pointer is on. */
    private readonly over: (key: number | null) => void,
  ) {
    const list = h("div", { class: "neuron-list" });
    this.rows = new Rows(list, (row) => this.make(row));
    this.scroller = h(
      "div",
      {
        class: "neuron-scroll",
        tabindex: 0,
        role: "group",
        "aria-label": `${label}; arrows tell the numbers of the strips`,
      },
      h("div", { class: "neuron-body" }, list, this.canvas, this.mark),
    );
    this.root = h("div", { class: "neuron-table" }, this.heads, this.queryRow, this.scroller);
    this.scroller.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    this.root.addEventListener("pointermove", (event) => {
      this.point(this.spotAt(event));
      const row = (event.target as Element).closest?.<HTMLElement>("[data-key]");
      this.over(row ? Number(row.dataset.key) : null);
    });
    this.root.addEventListener("pointerleave", () => this.leave());
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    this.scroller.addEventListener("blur", () => this.leave());
  }

  private leave(): void {
    this.point(null);
    this.over(null);
  }

  /** Marks the row of a key, and that of the query. */
  follow(key: number | null, query: boolean): void {
    this.pointed = key;
    this.rows.each((_, row) => row.classList.toggle("is-pointed", Number(row.dataset.key) === key));
    this.queryRow.classList.toggle("is-pointed", query);
  }

  show(data: NeuronData, strips: StripColumn[], dark: boolean): void {
    this.data = data;
    this.strips = strips;
    this.dark = dark;
    this.columns = columnsOf(data.explained);
    const before = strips.filter((one) => !one.after);
    const after = strips.filter((one) => one.after);
    const track = "minmax(36px, 1.4fr)";
    this.root.style.setProperty(
      "--tracks",
      [
        "minmax(46px, 1.2fr)",
        ...before.map(() => track),
        ...this.columns.map((one) => one.track),
        ...after.map(() => track),
      ].join(" "),
    );
    const head = ({ name, title }: { name: string; title: string }, kind: string): HTMLElement =>
      h("span", { class: kind, title: title || null }, name);
    this.heads.replaceChildren(
      head({ name: "key", title: "" }, ""),
      ...before.map((one) => head(one, "is-strip")),
      ...this.columns.map((one) => head(one, one.right ? "is-right" : "")),
      ...after.map((one) => head(one, "is-strip")),
    );
    const names = data.queryNames;
    this.queryRow.replaceChildren(
      h(
        "span",
        {
          class: "tok",
          title: tokenTitle(names.tokens[data.i] ?? "", data.i, names.ids?.[data.i], names.labels?.[data.i]),
        },
        h("small", {}, "q "),
        tokenText(names.tokens[data.i] ?? "", names.byteLevel, names.labels?.[data.i]),
      ),
      this.queryCanvas,
    );
    this.rows.clear();
    this.leave();
    this.draw();
    this.reveal();
  }

  /** Scrolls to the first key that takes part, where those in sight are all masked: windows lie anywhere. */
  private reveal(): void {
    const { scroller } = this;
    const { rows, explained } = this.data!;
    const open = rows.map((j) => explained.open[j]!);
    const first = Math.floor(scroller.scrollTop / ROW);
    const end = Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW);
    if (open.slice(first, end).includes(true)) return;
    const at = open.indexOf(true);
    if (at < 0) return;
    scroller.scrollTop = Math.max(0, at - 2) * ROW;
    this.draw();
  }

  resize(): void {
    if (this.data) this.draw();
  }

  private make(row: number): HTMLElement {
    const { keyNames, explained, rows } = this.data!;
    const j = rows[row]!;
    const { open, stored } = explained;
    const masked = !open[j] && !(stored && !Number.isNaN(stored[j]!));
    const empty = (after: boolean): HTMLElement[] =>
      this.strips.filter((one) => one.after === after).map(() => h("span"));
    return h(
      "div",
      {
        class: `neuron-row${masked ? " is-masked" : ""}${j === this.pointed ? " is-pointed" : ""}`,
        title: masked ? "masked: this key takes no part" : null,
        "data-key": j,
      },
      tokenCell(keyNames, j),
      ...empty(false),
      ...this.columns.map((column) => column.cell(j, masked)),
      ...empty(true),
    );
  }

  /** Where each strip stands, from the left edge of the table. */
  private places(): { left: number; width: number }[] {
    return [...this.heads.querySelectorAll<HTMLElement>(".is-strip")].map((one) => ({
      left: one.offsetLeft,
      width: one.offsetWidth,
    }));
  }

  private draw(): void {
    const { data, scroller, dark } = this;
    if (!data || !scroller.isConnected) return;
    const count = data.rows.length;
    const before = scroller.clientHeight;
    this.rows.show(rowWindow(count, ROW, scroller.scrollTop, before), ROW, count);
    // Where the page is as high as its content, the rows have just made the room for more of them.
    const after = scroller.clientHeight;
    if (after !== before) this.rows.show(rowWindow(count, ROW, scroller.scrollTop, after), ROW, count);
    const places = this.places();
    const width = Math.max(1, ...places.map((one) => one.left + one.width));
    const total = count * ROW;
    const height = Math.min(total, Math.max(100, scroller.clientHeight));
    const top = Math.max(0, Math.min(scroller.scrollTop, total - height));
    this.canvas.style.top = `${top}px`;
    const { context, ratio } = prepare(this.canvas, width, height);
    const top0 = prepare(this.queryCanvas, width, STRIP);
    this.sight = { first: Math.max(0, Math.floor(top / ROW)), end: Math.min(count, Math.ceil((top + height) / ROW)) };
    const seen = data.rows.slice(this.sight.first, this.sight.end);
    this.strips.forEach((strip, n) => {
      const size = STRIP * ratio;
      const place = { left: places[n]!.left * ratio, width: places[n]!.width * ratio, height: size };
      const list = seen.flatMap((j, at): Strip[] => {
        if (!data.explained.open[j]) return [];
        const values = reordered(strip.values.subarray(j * strip.width, (j + 1) * strip.width), strip.order);
        return [{ values, top: ((this.sight.first + at) * ROW - top + (ROW - STRIP) / 2) * ratio }];
      });
      paintStrips(context, list, place, strip.scale, dark);
      if (strip.top) {
        const values = reordered(strip.top.values, strip.order);
        paintStrips(top0.context, [{ values, top: 0 }], place, strip.top.scale, dark);
      }
    });
    const names = this.strips.map((one) => one.name).join(", ");
    const sorted = data.neurons ? ", neurons by what they add to q·k of the strongest key" : "";
    this.canvas.setAttribute("aria-label", `strips of ${names} of each key, blue positive, orange negative${sorted}`);
    const tops = this.strips.flatMap((one) => (one.top ? [one.top.name] : []));
    this.queryCanvas.setAttribute("aria-label", tops.length > 0 ? `strips of ${tops.join(", ")}` : "no strips");
  }

  private spotAt(event: PointerEvent): Spot | null {
    const { data } = this;
    if (!data) return null;
    const x = event.clientX - this.heads.getBoundingClientRect().left;
    const places = this.places();
    const strip = places.findIndex(({ left, width }) => x >= left && x < left + width);
    if (strip < 0) return null;
    const { width } = this.strips[strip]!;
    const d = Math.min(width - 1, Math.floor(((x - places[strip]!.left) / places[strip]!.width) * width));
    if (this.queryRow.contains(event.target as Node)) return { row: -1, strip, d };
    if (!this.scroller.contains(event.target as Node)) return null;
    const y = event.clientY - this.scroller.getBoundingClientRect().top + this.scroller.scrollTop;
    const row = Math.floor(y / ROW);
    return row < data.rows.length ? { row, strip, d } : null;
  }

  private key(event: KeyboardEvent): void {
    const { data, strips } = this;
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!data || !by || strips.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const spot = this.spot ?? { row: this.sight.first - by[0]!, strip: 0, d: -by[1]! };
    const next = { ...spot, row: Math.max(-1, Math.min(data.rows.length - 1, spot.row + by[0]!)), d: spot.d + by[1]! };
    if (next.d < 0 || next.d >= strips[next.strip]!.width) {
      const strip = next.strip + by[1]!;
      if (strip < 0 || strip >= strips.length) return;
      next.strip = strip;
      next.d = by[1]! > 0 ? 0 : strips[strip]!.width - 1;
    }
    const top = next.row * ROW;
    if (
      next.row >= 0 &&
      (top < this.scroller.scrollTop || top + ROW > this.scroller.scrollTop + this.scroller.clientHeight)
    ) {
      this.scroller.scrollTop = Math.max(0, top - this.scroller.clientHeight / 2);
      this.draw();
    }
    this.point(next);
    this.over(data.rows[next.row] ?? null);
  }

  /** Tells the numbers of one cell, and marks it. */
  private point(spot: Spot | null): void {
    if (spot === null && this.spot === null) return;
    this.spot = spot;
    const { data, mark } = this;
    mark.hidden = true;
    if (!spot || !data) {
      this.tell("");
      return;
    }
    const strip = this.strips[spot.strip]!;
    const j = spot.row < 0 ? null : data.rows[spot.row]!;
    const key = j === null ? "" : `${nameOf(data.keyNames, j, 24)} (${j}), `;
    const open = j === null || data.explained.open[j];
    this.tell(open ? `${key}${stripWords(strip, data, j, spot.d)}` : `${key}masked: this key takes no part`);
    if (j === null || !open) return;
    const { left, width } = this.places()[spot.strip]!;
    mark.hidden = false;
    const wide = width / strip.width;
    mark.style.cssText = `left:${left + spot.d * wide - 1}px;top:${spot.row * ROW + 3}px;width:${Math.max(2, wide) + 2}px`;
  }
}

function tokenCell(names: Names, at: number): HTMLElement {
  const token = names.tokens[at] ?? "";
  const label = names.labels?.[at];
  return h(
    "span",
    {
      class: `tok${names.special?.[at] ? " is-special" : ""}${names.generated?.[at] ? " is-generated" : ""}`,
      title: tokenTitle(token, at, names.ids?.[at], label),
    },
    tokenText(token, names.byteLevel, label),
  );
}
