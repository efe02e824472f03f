// The text equivalent of the lines: the strongest weights as a table, made when it is opened.
import { h, weightText } from "../../ui/dom";
import { labelText, tokenText } from "../../ui/tokens";
import type { TopWeight } from "./lines";

/** Tokens of both axes, with what they say in full where there is more to say. */
export interface TableTokens {
  query: string[];
  key: string[];
  byteLevel: boolean;
  queryLabels: string[] | null;
  keyLabels: string[] | null;
}

export class TopTable {
  readonly root: HTMLDetailsElement;
  private readonly body = h("tbody");
  private make: (() => TopWeight[]) | null = null;
  private tokens: TableTokens = { query: [], key: [], byteLevel: false, queryLabels: null, keyLabels: null };

  constructor() {
    this.root = h(
      "details",
      { class: "top-weights", ontoggle: () => this.fill() },
      h("summary", {}, "Strongest weights"),
      h(
        "div",
        { class: "table-scroll" },
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

  update(tokens: TableTokens, make: () => TopWeight[]): void {
    this.tokens = tokens;
    this.make = make;
    this.fill();
  }

  private fill(): void {
    if (!this.root.open || !this.make) return;
    const { query, key, byteLevel, queryLabels, keyLabels } = this.tokens;
    const cell = (names: string[], labels: string[] | null, at: number): HTMLElement => {
      const label = labels?.[at];
      const title = label === undefined ? null : labelText(label);
      return h(
        "td",
        { class: "cell-token", title },
        tokenText(names[at] ?? "", byteLevel, label),
        h("small", {}, ` ${at}`),
      );
    };
    this.body.replaceChildren(
      ...this.make().map((top) =>
        h(
          "tr",
          {},
          h("td", {}, String(top.head)),
          cell(query, queryLabels, top.query),
          cell(key, keyLabels, top.key),
          h("td", { class: "num" }, weightText(top.weight)),
        ),
      ),
    );
  }
}
