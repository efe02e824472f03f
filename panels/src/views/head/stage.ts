// The picture of the head view: two token columns that scroll together, lines between them, and one token's lines alone.
import { headColour } from "../../draw/colour";
import { pixelRatio, prepare, put } from "../../draw/surface";
import { positionOf } from "../../session/shape/items";
import type { Shaped } from "../../session/shape/shape";
import { h, signedText, weightText } from "../../ui/dom";
import { rowWindow } from "../../ui/rows";
import { plain } from "../../ui/tokens";
import { type Beside, TokenColumn } from "./column";
import { drawLines, faintest, type HeadLines, type Layout, type Pointed } from "./lines";

/** Weights below this are not worth a number beside their token. */
const FAINTEST_BESIDE = 0.0005;
const ROW = { least: 19, most: 34, usual: 22 };
/** Colours of what is no head's: a mean, a difference. */
const NEUTRAL = { light: "#4a4f58", dark: "#c3c8d0" };

export interface Drawing {
  shaped: Shaped;
  lines: HeadLines[];
  byteLevel: boolean;
  compared: boolean;
  dark: boolean;
  /** Least weight drawn; 0: as many as can be told apart. */
  least: number;
  /** The item whose token the neuron view explains. */
  chosen: number | null;
}

export const colourOf = (head: number, dark: boolean): string =>
  head < 0 ? (dark ? NEUTRAL.dark : NEUTRAL.light) : headColour(head, dark);

export class Stage {
  readonly root = h("div", { class: "head-scroll" });
  hover: Pointed | null = null;
  /** What is marked in the other column, where another view points at a query and a key. */
  private also: number | null = null;
  layout: Layout | null = null;
  least = 0;
  lines = 0;
  private readonly left: TokenColumn;
  private readonly right: TokenColumn;
  private readonly base = h("canvas", { class: "lines", role: "img" });
  private readonly over = h("canvas", { class: "lines lines-over", "aria-hidden": "true" });
  private readonly stage = h("div", { class: "stage" }, this.base, this.over);
  private drawing: Drawing | null = null;
  private columnKey = "";

  constructor(
    private readonly events: { choose(position: number): void; pointed(): void; hover(place: Pointed | null): void },
  ) {
    this.left = new TokenColumn("left", "query tokens", {
      hover: (row) => this.hovered(row === null ? null : { side: "query", at: row }),
      choose: (row) => {
        const item = this.drawing?.shaped.queries[row];
        if (item?.a) events.choose(item.a.start);
      },
    });
    this.right = new TokenColumn("right", "key tokens", {
      hover: (row) => this.hovered(row === null ? null : { side: "key", at: row }),
      choose: (row) => this.hovered({ side: "key", at: row }),
    });
    this.root.append(this.left.root, this.stage, this.right.root);
    this.root.addEventListener("scroll", () => requestAnimationFrame(() => this.draw(false)), { passive: true });
  }

  /** Shows other weights; columns are filled again only where `columns` changed, so that the scroll position stays. */
  show(drawing: Drawing, columns: string): void {
    this.drawing = drawing;
    const { queries, keys } = drawing.shaped;
    const shape = { queries: queries.length, keys: keys.length };
    this.layout = { ...shape, row: ROW.usual, top: 0, width: 0, height: 0, ratio: 1 };
    if (columns !== this.columnKey) {
      this.columnKey = columns;
      this.hover = this.also = null;
      const narrow = this.root.closest("[data-small]") !== null;
      const { byteLevel, compared } = drawing;
      for (const [column, items] of [
        [this.left, queries],
        [this.right, keys],
      ] as const) {
        column.tokens({ items, byteLevel, compared });
        const texts = items.map((one) => one.text);
        column.root.style.width = `${columnWidth(texts, byteLevel, narrow ? 36 : 84)}px`;
      }
      this.root.scrollTop = 0;
    }
    this.draw(true);
  }

  draw(resized: boolean): void {
    const { layout, root, drawing } = this;
    if (!layout || !drawing || !root.isConnected) return;
    const count = Math.max(layout.queries, layout.keys);
    if (resized) {
      const room = root.closest("[data-fit]") ? root.clientHeight - 8 : 0;
      layout.row =
        room > 0 ? Math.floor(Math.max(ROW.least, Math.min(ROW.most, room / Math.max(1, count)))) : ROW.usual;
    }
    const total = count * layout.row;
    this.left.show(rowWindow(layout.queries, layout.row, root.scrollTop, root.clientHeight), layout.row);
    this.right.show(rowWindow(layout.keys, layout.row, root.scrollTop, root.clientHeight), layout.row);
    const height = Math.min(total, Math.max(120, root.clientHeight));
    const top = Math.max(0, Math.min(root.scrollTop, total - height));
    const width = Math.max(60, this.stage.clientWidth);
    if (!resized && top === layout.top && layout.height === height && layout.width === width) return;
    Object.assign(layout, { top, width, height, ratio: pixelRatio() });
    this.stage.style.height = `${total}px`;
    this.base.style.top = this.over.style.top = `${top}px`;
    this.least = drawing.least || faintest(drawing.lines, layout);
    const picture = drawLines(drawing.lines, layout, this.least, null);
    this.lines = picture.lines;
    put(prepare(this.base, width, height), picture.pixels, picture.width, picture.height);
    this.base.setAttribute(
      "aria-label",
      `attention lines of ${drawing.lines.length} heads between ${layout.queries} query and ${layout.keys} key tokens`,
    );
    this.point(this.hover, this.also);
  }

  private hovered(place: Pointed | null): void {
    this.events.hover(place);
    this.point(place);
  }

  /** Shows one token's lines alone, and their values beside the other column; `also` is a token of that to mark. */
  point(hover: Pointed | null, also: number | null = null): void {
    this.hover = hover;
    this.also = also;
    const { layout, drawing } = this;
    if (!layout || !drawing) return;
    this.stage.classList.toggle("is-pointing", hover !== null);
    const beside = hover ? (row: number) => this.beside(hover, row) : null;
    const side = hover?.side;
    this.left.point(side === "query" ? hover!.at : also, drawing.chosen, side === "key" ? beside : null);
    this.right.point(side === "key" ? hover!.at : also, null, side === "query" ? beside : null);
    this.events.pointed();
    if (!hover) return;
    const picture = drawLines(drawing.lines, layout, this.leastPointed(), hover);
    put(prepare(this.over, layout.width, layout.height), picture.pixels, picture.width, picture.height);
  }

  /** Brings a token into sight and shows its lines. */
  go(place: Pointed | null): void {
    const { layout, root } = this;
    if (place && layout) {
      const top = place.at * layout.row;
      if (top < root.scrollTop || top + layout.row > root.scrollTop + root.clientHeight) {
        root.scrollTop = Math.max(0, top - root.clientHeight / 2);
        this.draw(false);
      }
    }
    this.point(place);
  }

  /** The item whose token the neuron view explains. */
  choose(chosen: number | null): void {
    if (this.drawing) this.drawing.chosen = chosen;
  }

  mark(queries: ReadonlySet<number>, keys: ReadonlySet<number>): void {
    this.left.mark(queries);
    this.right.mark(keys);
  }

  /** Of weights that are all stored the faint ones are not worth a number; of kept ones each is: others are not known. */
  private leastPointed(): number {
    const { least, shaped } = this.drawing!;
    return least || (shaped.sparse ? 0 : FAINTEST_BESIDE);
  }

  /** The greatest weight between the token pointed at and one of the other column, and a shade for each head. */
  private beside(hover: Pointed, row: number): Beside | null {
    const { dark, lines, shaped } = this.drawing!;
    const i = hover.side === "query" ? hover.at : row;
    const j = hover.side === "query" ? row : hover.at;
    let most: number | null = null;
    let colour = "";
    const shades = lines.map(({ rows, colour: positive, negative }) => {
      const weight = rows.at(i, j);
      const of = negative && weight !== null && weight < 0 ? negative : positive;
      const shade = negative ? `rgb(${of.join(" ")})` : colourOf(rows.head, dark);
      if (weight !== null && (most === null || Math.abs(weight) > Math.abs(most))) {
        most = weight;
        colour = shade;
      }
      return { colour: shade, alpha: Math.abs(weight ?? 0) };
    });
    if (most === null || Math.abs(most) < this.leastPointed()) return null;
    const text = shaped.signed ? signedText(most) : weightText(most);
    return { text, colour, shades: lines.length > 1 ? shades : [] };
  }

  inspect(): Record<string, unknown> {
    const { drawing } = this;
    const { queries, keys } = drawing?.shaped ?? { queries: [], keys: [] };
    return {
      queries: queries.map(positionOf),
      keys: keys.map(positionOf),
      items: { query: queries.map((one) => one.text), key: keys.map((one) => one.text) },
      alone: {
        query: drawing?.compared ? queries.flatMap((one, n) => (one.a && one.b ? [] : [n])) : [],
        key: drawing?.compared ? keys.flatMap((one, n) => (one.a && one.b ? [] : [n])) : [],
      },
      lines: this.lines,
      faintest: this.least,
      pointing: this.hover,
    };
  }
}

let ruler: CanvasRenderingContext2D | null = null;

/** Room for the longest token, within bounds, and for a value beside it. */
function columnWidth(texts: string[], byteLevel: boolean, beside: number): number {
  ruler ??= document.createElement("canvas").getContext("2d");
  if (!ruler) return 140;
  ruler.font = "13px system-ui, sans-serif";
  let most = 0;
  for (const text of texts.slice(0, 2000)) most = Math.max(most, ruler.measureText(plain(text, byteLevel, 24)).width);
  return Math.round(Math.min(150, most) + 16 + beside);
}
