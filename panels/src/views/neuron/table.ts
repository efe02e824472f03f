// Rows of the neuron view: key tokens as text, k and q×k as strips on one canvas, numbers and bars beside them.
import type { KeyVectors, QueryVectors } from "../../decode/types";
import { fullScale, paintStrips, type Strip } from "../../draw/strips";
import { prepare } from "../../draw/surface";
import type { Explained } from "../../session/explain";
import { h, short, weightText } from "../../ui/dom";
import { Rows, rowWindow } from "../../ui/rows";
import { labelText, plain, tokenText, tokenTitle } from "../../ui/tokens";

const ROW = 22;
const STRIP = 13;

export interface NeuronData {
  i: number;
  query: QueryVectors;
  keys: KeyVectors;
  queryNames: string[];
  keyNames: string[];
  /** What tokens say in full, where there is more to say. */
  queryLabels: string[] | null;
  keyLabels: string[] | null;
  byteLevel: boolean;
  explained: Explained;
  dark: boolean;
  /** Component of k drawn in full colour. */
  scale: number;
}

/** A column after the strips. */
interface Column {
  name: string;
  title: string;
  cell(j: number, masked: boolean): HTMLElement;
}

/** q·k, then what it takes to come from there to the weights: their softmax, with a bias or beside what is stored. */
function columnsOf({ qk, bias, softmax, stored }: Explained): Column[] {
  const numbers = (name: string, title: string, text: (j: number) => string): Column => ({
    name,
    title,
    cell: (j, masked) => h("span", { class: "num" }, masked ? "–" : text(j)),
  });
  const list = [numbers("q·k", "their sum", (j) => one(qk[j]!))];
  if (bias) list.push(numbers("bias", "log w − log softmax(q·k)", (j) => short(bias[j]!)));
  if (!stored) return softmax ? [...list, bars("softmax", "weights", softmax)] : list;
  if (softmax) list.push(numbers("softmax", "softmax of q·k", (j) => weightText(softmax[j]!)));
  return [...list, bars("weight", "weights that were stored: the greatest of each row", stored)];
}

/** Weights as bars and numbers; NaN is a weight that nobody knows. */
function bars(name: string, title: string, weights: Float32Array): Column {
  return {
    name,
    title,
    cell: (j, masked) => {
      const weight = weights[j]!;
      if (Number.isNaN(weight)) {
        const why = masked ? null : "This weight is not among those that were stored; it need not be 0.";
        return h("span", { class: "bar-cell not-stored", title: why }, masked ? "" : "not stored");
      }
      return h(
        "span",
        { class: "bar-cell", title: masked ? null : weight.toFixed(4) },
        h("span", { class: "bar", style: `--w:${weight}` }),
        h("span", { class: "num" }, masked ? "" : weightText(weight)),
      );
    },
  };
}

export class NeuronTable {
  readonly root: HTMLElement;
  private readonly heads = h("div", { class: "neuron-row neuron-heads" });
  private readonly queryRow = h("div", { class: "neuron-row neuron-query" });
  private readonly queryCanvas = h("canvas", { role: "img" });
  private readonly canvas = h("canvas", { class: "neuron-strips", role: "img" });
  private readonly rows: Rows;
  private readonly scroller: HTMLElement;
  private data: NeuronData | null = null;
  private columns: Column[] = [];
  private product = new Float32Array(0);
  private productScale = 1;

  constructor() {
    const list = h("div", { class: "neuron-list" });
    this.rows = new Rows(list, (j) => this.make(j));
    this.scroller = h(
      "div",
      { class: "neuron-scroll", tabindex: 0, "aria-label": "keys" },
      h("div", { class: "neuron-body" }, list, this.canvas),
    );
    this.root = h("div", { class: "neuron-table" }, this.heads, this.queryRow, this.scroller);
    this.scroller.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    this.canvas.addEventListener("pointermove", (event) => this.tell(event));
  }

  show(data: NeuronData): void {
    this.data = data;
    const { query, keys, explained, i } = data;
    const { width } = query;
    this.product = new Float32Array(keys.tokens * width);
    for (let j = 0; j < keys.tokens; j++) {
      for (let d = 0; d < width; d++) {
        this.product[j * width + d] = query.values[i * width + d]! * keys.values[j * width + d]! * query.scale;
      }
    }
    this.productScale = fullScale(this.product) || 1;
    this.columns = columnsOf(explained);
    this.root.classList.toggle("has-more", this.columns.length > 2);
    this.root.classList.toggle("has-softmax", explained.stored !== null && explained.softmax !== null);
    const before = [
      { name: "key", title: "" },
      { name: "k", title: "key vector" },
      { name: "q × k", title: "products of the components, times the scale" },
    ];
    this.heads.replaceChildren(
      ...[...before, ...this.columns].map(({ name, title }) => h("span", { title: title || null }, name)),
    );
    this.queryRow.replaceChildren(
      h(
        "span",
        { class: "tok", title: tokenTitle(data.queryNames[i] ?? "", i, undefined, data.queryLabels?.[i]) },
        h("small", {}, "q "),
        tokenText(data.queryNames[i] ?? "", data.byteLevel, data.queryLabels?.[i]),
      ),
      this.queryCanvas,
    );
    this.rows.clear();
    this.draw();
    this.reveal();
  }

  /** Scrolls to the first key that takes part, where those in sight are all masked: windows lie anywhere. */
  private reveal(): void {
    const { scroller } = this;
    const { open } = this.data!.explained;
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

  private make(j: number): HTMLElement {
    const { keyNames, keyLabels, byteLevel, explained } = this.data!;
    const { open, stored } = explained;
    const masked = !open[j] && !(stored && !Number.isNaN(stored[j]!));
    return h(
      "div",
      { class: `neuron-row${masked ? " is-masked" : ""}`, title: masked ? "masked: this key takes no part" : null },
      h(
        "span",
        { class: "tok", title: tokenTitle(keyNames[j] ?? "", j, undefined, keyLabels?.[j]) },
        tokenText(keyNames[j] ?? "", byteLevel, keyLabels?.[j]),
      ),
      h("span"),
      h("span"),
      ...this.columns.map((column) => column.cell(j, masked)),
    );
  }

  private draw(): void {
    const { data, scroller } = this;
    if (!data || !scroller.isConnected) return;
    const count = data.keys.tokens;
    const before = scroller.clientHeight;
    this.rows.show(rowWindow(count, ROW, scroller.scrollTop, before), ROW, count);
    // Where the page is as high as its content, the rows have just made the room for more of them.
    const after = scroller.clientHeight;
    if (after !== before) this.rows.show(rowWindow(count, ROW, scroller.scrollTop, after), ROW, count);
    const head = this.heads.children;
    const left = (head[1] as HTMLElement).offsetLeft;
    const k = (head[1] as HTMLElement).offsetWidth;
    const qkLeft = (head[2] as HTMLElement).offsetLeft - left;
    const qkWidth = (head[2] as HTMLElement).offsetWidth;
    const total = count * ROW;
    const height = Math.min(total, Math.max(100, scroller.clientHeight));
    const top = Math.max(0, Math.min(scroller.scrollTop, total - height));
    this.canvas.style.top = `${top}px`;
    this.canvas.style.left = `${left}px`;
    const { context, ratio } = prepare(this.canvas, qkLeft + qkWidth, height);
    const { query, keys } = data;
    const first = Math.max(0, Math.floor(top / ROW));
    const end = Math.min(count, Math.ceil((top + height) / ROW));
    const strips = (values: Float32Array): Strip[] =>
      Array.from({ length: Math.max(0, end - first) }, (_, n) => first + n)
        .filter((j) => data.explained.open[j])
        .map((j) => ({
          values: values.subarray(j * query.width, (j + 1) * query.width),
          top: (j * ROW - top + (ROW - STRIP) / 2) * ratio,
        }));
    const size = STRIP * ratio;
    paintStrips(context, strips(keys.values), { left: 0, width: k * ratio, height: size }, data.scale, data.dark);
    const place = { left: qkLeft * ratio, width: qkWidth * ratio, height: size };
    paintStrips(context, strips(this.product), place, this.productScale, data.dark);
    this.canvas.setAttribute(
      "aria-label",
      "key vectors and their products with the query, blue positive, orange negative",
    );
    const q = prepare(this.queryCanvas, k, STRIP);
    const values = query.values.subarray(data.i * query.width, (data.i + 1) * query.width);
    paintStrips(
      q.context,
      [{ values, top: 0 }],
      { left: 0, width: k * ratio, height: size },
      fullScale(values),
      data.dark,
    );
    this.queryCanvas.setAttribute("aria-label", "query vector");
  }

  /** The component under the pointer, as the canvas's title. */
  private tell(event: PointerEvent): void {
    const { data } = this;
    if (!data) return;
    const k = (this.heads.children[1] as HTMLElement).offsetWidth;
    const second =
      (this.heads.children[2] as HTMLElement).offsetLeft - (this.heads.children[1] as HTMLElement).offsetLeft;
    const j = Math.floor((event.offsetY + Number.parseFloat(this.canvas.style.top || "0")) / ROW);
    const { width } = data.query;
    const inK = event.offsetX < k;
    const d = Math.floor(((inK ? event.offsetX : event.offsetX - second) / k) * width);
    if (j >= data.keys.tokens || d < 0 || d >= width || (!inK && event.offsetX < second)) {
      this.canvas.title = "";
      return;
    }
    const value = (inK ? data.keys.values : this.product)[j * width + d]!;
    const key = data.keyLabels?.[j] ?? data.keyNames[j] ?? "";
    this.canvas.title = `${data.keyLabels ? labelText(key) : plain(key, data.byteLevel)}, ${inK ? "k" : "q × k"} component ${d}: ${value.toPrecision(3)}`;
  }
}

/** One digit after the point, and no negative nought. */
function one(value: number): string {
  return value
    .toFixed(1)
    .replace(/^-0\.0$/, "0.0")
    .replace("-", "−");
}
