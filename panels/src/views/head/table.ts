// The text equivalent of the lines: the strongest weights as a table, made when it is opened.
import { h, weightText } from "../../ui/dom";
import { tokenText } from "../../ui/tokens";
import type { TopWeight } from "./lines";

export class TopTable {
  readonly root: HTMLDetailsElement;
  private readonly body = h("tbody");
  private make: (() => TopWeight[]) | null = null;
  private tokens: { query: string[]; key: string[]; byteLevel: boolean } = { query: [], key: [], byteLevel: false };

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

  update(tokens: { query: string[]; key: string[]; byteLevel: boolean }, make: () => TopWeight[]): void {
    this.tokens = tokens;
    this.make = make;
    this.fill();
  }

  private fill(): void {
    if (!this.root.open || !this.make) return;
    const { query, key, byteLevel } = this.tokens;
    this.body.replaceChildren(
      ...this.make().map((top) =>
        h(
          "tr",
          {},
          h("td", {}, String(top.head)),
          h(
            "td",
            { class: "cell-token" },
            tokenText(query[top.query] ?? "", byteLevel),
            h("small", {}, ` ${top.query}`),
          ),
          h("td", { class: "cell-token" }, tokenText(key[top.key] ?? "", byteLevel), h("small", {}, ` ${top.key}`)),
          h("td", { class: "num" }, weightText(top.weight)),
        ),
      ),
    );
  }
}
