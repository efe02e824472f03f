// The text equivalent of the lines: the strongest weights as a table, made when it is opened.
import { type Item, positionOf } from "../../session/shape/items";
import { MEAN } from "../../session/shape/shape";
import { h, signedText, weightText } from "../../ui/dom";
import { labelText, tokenText } from "../../ui/tokens";
import type { TopWeight } from "./top";

/** Items of both axes. */
export interface TableItems {
  queries: readonly Item[];
  keys: readonly Item[];
  byteLevel: boolean;
  signed: boolean;
}

export class TopTable {
  readonly root: HTMLDetailsElement;
  private readonly body = h("tbody");
  private readonly name = h("span", {}, "Strongest weights");
  private make: (() => TopWeight[]) | null = null;
  private items: TableItems = { queries: [], keys: [], byteLevel: false, signed: false };

  constructor() {
    this.root = h(
      "details",
      { class: "top-weights", ontoggle: () => this.fill() },
      h("summary", {}, this.name),
      h(
        "div",
        { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "strongest weights" },
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h("tr", {}, ...["head", "query", "key", "weight"].map((name) => h("th", { scope: "col" }, name))),
          ),
          this.body,
        ),
      ),
    );
  }

  update(items: TableItems, make: () => TopWeight[]): void {
    this.items = items;
    this.name.textContent = items.signed ? "Greatest differences" : "Strongest weights";
    this.make = make;
    this.fill();
  }

  private fill(): void {
    if (!this.root.open || !this.make) return;
    const { queries, keys, byteLevel, signed } = this.items;
    const cell = (item: Item): HTMLElement => {
      const title = item.label === undefined ? null : labelText(item.label);
      return h(
        "td",
        { class: "cell-token", title },
        tokenText(item.text, byteLevel, item.label),
        h("small", {}, ` ${positionOf(item)}`),
      );
    };
    this.body.replaceChildren(
      ...this.make().map((top) =>
        h(
          "tr",
          {},
          h("td", {}, headName(top.head)),
          cell(queries[top.query]!),
          cell(keys[top.key]!),
          h("td", { class: "num" }, signed ? signedText(top.weight) : weightText(top.weight)),
        ),
      ),
    );
  }
}

/** A head as people read it; a mean over heads is told as such. */
export const headName = (head: number): string => (head === MEAN ? "mean" : String(head));
