// Rows of numbers and bars, one per token, layer or answer: the text of a picture, of which only rows in sight exist.
import { h, s } from "../../ui/dom";
import type { Ink } from "../../draw/ink";
import { box, words } from "../../ui/paper";
import { Rows, rowWindow } from "../../ui/rows";
import { labelText, tokenText, tokenTitle } from "../../ui/tokens";
import { inText, type Names, nameOf } from "./names";
import { MOST_IN_PICTURE } from "./text";

export const ROW = 22;

export interface Column {
  name: string;
  title?: string;
  /** A fixed width in pixels, else a share of the rest. */
  px?: number;
  fr?: number;
  right?: boolean;
}

export type Cell =
  | { text: string; title?: string }
  | { token: number }
  /** A bar of `value`, full at `most`; signed ones begin in the middle. NaN: none. */
  | { bar: number; most: number; signed?: boolean };

export interface TableData {
  columns: Column[];
  count: number;
  cells(row: number): Cell[];
  names: Names;
  /** The row that is marked. */
  chosen: number | null;
}

export class RowTable {
  readonly root: HTMLElement;
  private readonly head = h("div", { class: "row-line row-head", role: "row" });
  private readonly list = h("div", { role: "rowgroup" });
  private readonly rows: Rows;
  private data: TableData | null = null;
  private sight = { first: 0, end: 0 };

  constructor(
    label: string,
    private readonly choose: ((row: number) => void) | null = null,
  ) {
    this.root = h(
      "div",
      { class: "row-table", role: "table", "aria-label": label },
      h("div", { role: "rowgroup" }, this.head),
      this.list,
    );
    this.rows = new Rows(this.list, (row) => this.make(row));
    if (!choose) return;
    this.list.classList.add("is-choice");
    this.list.addEventListener("click", (event) => {
      const row = (event.target as Element).closest?.("[data-row]") as HTMLElement | null;
      if (row && !getSelection()?.toString()) choose(Number(row.dataset.row));
    });
  }

  show(data: TableData): void {
    this.data = data;
    this.root.style.setProperty(
      "--tracks",
      data.columns.map(({ px, fr }) => (px ? `${px}px` : `minmax(0, ${fr ?? 1}fr)`)).join(" "),
    );
    this.root.setAttribute("aria-rowcount", String(data.count + 1));
    this.head.replaceChildren(
      ...data.columns.map(({ name, title, right }) =>
        h(
          "span",
          { role: "columnheader", class: right ? "is-right" : null, title: title ?? null },
          name || h("span", { class: "visually-hidden" }, title ?? ""),
        ),
      ),
    );
    this.rows.clear();
    this.window(this.top, this.height);
  }

  private top = 0;
  private height = 600;

  /** The part of it that is in sight, in pixels from its top. */
  window(top: number, height: number): void {
    this.top = top;
    this.height = height;
    if (!this.data) return;
    this.sight = rowWindow(this.data.count, ROW, top - ROW, height);
    this.rows.show(this.sight, ROW, this.data.count);
  }

  private make(row: number): HTMLElement {
    const { columns, names, chosen } = this.data!;
    return h(
      "div",
      {
        class: `row-line${row === chosen ? " is-chosen" : ""}`,
        role: "row",
        "aria-rowindex": row + 2,
        "aria-current": row === chosen ? "true" : null,
        "data-row": row,
      },
      ...this.data!.cells(row).map((cell, i) => cellOf(cell, names, columns[i]?.right ?? false)),
    );
  }

  get chooses(): boolean {
    return this.choose !== null;
  }

  /** Its shapes with the upper left corner at 0, 0; of many rows those in sight. */
  picture(ink: Ink, width: number): { node: SVGElement; height: number } {
    const node = s("g");
    const { data } = this;
    if (!data) return { node, height: 0 };
    const fixed = data.columns.reduce((sum, { px }) => sum + (px ?? 0), 0) + 8 * (data.columns.length - 1);
    const shares = data.columns.reduce((sum, { px, fr }) => sum + (px ? 0 : (fr ?? 1)), 0);
    let left = 0;
    const places = data.columns.map(({ px, fr }) => {
      const wide = px ?? ((width - fixed) * (fr ?? 1)) / Math.max(1, shares);
      const place = { left, wide };
      left += wide + 8;
      return place;
    });
    const write = (text: string, i: number, y: number, fill: string): SVGElement => {
      const { left: from, wide } = places[i]!;
      const right = data.columns[i]!.right;
      return words(right ? from + wide : from, y, text, fill, { "text-anchor": right ? "end" : "start" });
    };
    for (const [i, { name }] of data.columns.entries()) node.append(write(name, i, ROW / 2, ink.dim));
    const all = data.count <= MOST_IN_PICTURE;
    const first = all ? 0 : this.sight.first;
    const end = all ? data.count : this.sight.end;
    for (let row = first; row < end; row++) {
      const y = (row - first + 1) * ROW;
      if (row === data.chosen) node.append(box(0, y, width, ROW, ink.accent, 0.12));
      for (const [i, cell] of data.cells(row).entries()) {
        const { left: from, wide } = places[i]!;
        if ("token" in cell) node.append(write(nameOf(data.names, cell.token, 24), i, y + ROW / 2, ink.ink));
        else if ("text" in cell) node.append(write(cell.text, i, y + ROW / 2, ink.ink));
        else {
          const { start, size } = barOf(cell);
          const fill = cell.bar < 0 ? ink.negative : ink.positive;
          if (size > 0) node.append(box(from + start * wide, y + 6, Math.max(1, size * wide), 10, fill));
        }
      }
    }
    return { node, height: (end - first + 1) * ROW };
  }
}

type Bar = Extract<Cell, { bar: number }>;

/** Where a bar begins and how long it is, as shares of its column. */
export function barOf({ bar, most, signed }: Bar): { start: number; size: number } {
  if (Number.isNaN(bar) || !(most > 0)) return { start: signed ? 0.5 : 0, size: 0 };
  const share = Math.min(1, Math.abs(bar) / most);
  if (!signed) return { start: 0, size: share };
  return { start: bar < 0 ? 0.5 - share / 2 : 0.5, size: share / 2 };
}

function cellOf(cell: Cell, names: Names, right: boolean): HTMLElement {
  if ("token" in cell) {
    const at = cell.token;
    const label = names.labels?.[at];
    const marks = `${names.special?.[at] ? " is-special" : ""}${names.generated?.[at] ? " is-generated" : ""}`;
    const title = tokenTitle(names.tokens[at] ?? "", at, names.ids?.[at], label);
    const shown =
      label === undefined
        ? tokenText(inText(names, at), names.byteLevel)
        : h("bdi", { class: "tok-text" }, labelText(label));
    return h("span", { role: "cell", class: `row-token${marks}`, title, "data-at": at }, shown);
  }
  if ("text" in cell)
    return h("span", { role: "cell", class: right ? "num is-right" : "", title: cell.title ?? null }, cell.text);
  const { start, size } = barOf(cell);
  const style = `left:${(start * 100).toFixed(2)}%;width:max(1px, ${(size * 100).toFixed(2)}%)`;
  return h(
    "span",
    { role: "cell", class: `row-bar${cell.signed ? " is-signed" : ""}` },
    size > 0 && h("i", { class: cell.bar < 0 ? "is-negative" : null, style }),
  );
}
