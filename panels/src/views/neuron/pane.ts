// One input in the neuron view: which it is and its query token, the table, and what has to be known to read it.
import type { VectorLayer } from "../../decode/types";
import { h } from "../../ui/dom";
import { notice } from "../../ui/notice";
import { type NeuronData, wordsOf } from "./data";
import { stripsOf } from "./strips";
import { NeuronTable } from "./table";

/** From this width on keys and values stand side by side. */
export const WIDE = 520;
const HINT = "Point at a neuron for its numbers.";

export class NeuronPane {
  readonly root: HTMLElement;
  readonly table: NeuronTable;
  readonly query: HTMLInputElement;
  private readonly name = h("span", { class: "neuron-input" });
  private readonly head = h("div", { class: "neuron-pane-head" });
  private readonly told = h("p", { class: "neuron-told num", role: "status" }, HINT);
  private readonly note = h("p", { class: "foot-note" });
  data: NeuronData | null = null;

  constructor(
    label: string,
    private readonly own: boolean,
    choose: (token: number) => void,
    over: (key: number | null) => void = () => {},
  ) {
    this.table = new NeuronTable(
      `keys${label}`,
      (words) => {
        this.told.textContent = words || HINT;
        this.told.title = words;
      },
      over,
    );
    this.query = h("input", {
      type: "number",
      min: 0,
      class: "position",
      "aria-label": own ? "query token of the input beside" : "query token of the neuron view",
    });
    this.query.addEventListener("change", () => {
      const value = Number(this.query.value);
      const most = this.data ? this.data.query.tokens - 1 : 0;
      if (this.query.value !== "" && Number.isInteger(value) && value >= 0 && value <= most) choose(value);
      else if (this.data) {
        const { i } = this.data;
        this.query.setCustomValidity(
          `There are queries 0 to ${most}; ${this.query.value || "nothing"} is none of them.`,
        );
        this.query.reportValidity();
        this.query.value = String(i);
        this.query.addEventListener("input", () => this.query.setCustomValidity(""), { once: true });
      }
    });
    this.head.append(this.name);
    if (own) this.head.append(h("label", {}, "query ", this.query));
    this.root = h("div", { class: "neuron-pane" }, this.head, this.told, this.table.root, this.note);
  }

  /** Shows an input; its name where there are two. */
  show(data: NeuronData, vectors: VectorLayer, name: string | null, values: boolean, dark: boolean): void {
    this.data = data;
    this.titled(name);
    const wide = this.table.root.clientWidth >= WIDE;
    const shown = values && data.values !== null;
    this.table.root.hidden = this.told.hidden = false;
    this.table.show(data, stripsOf(data, { keys: wide || !shown, values: shown }), dark);
    this.query.max = String(data.query.tokens - 1);
    this.query.value = String(data.i);
    this.note.textContent = wordsOf(data, vectors);
  }

  /** Says first which of two sides this is. */
  side(words: string): void {
    if (words) this.note.prepend(`${words} `);
  }

  /** Says only what the other pane does not say already. */
  spare(other: NeuronPane): void {
    if (this.data && this.note.textContent === other.note.textContent) this.note.textContent = "";
  }

  say(error: unknown, name: string | null): void {
    this.data = null;
    this.titled(name);
    this.table.root.hidden = this.told.hidden = true;
    this.note.replaceChildren(notice(error));
  }

  private titled(name: string | null): void {
    this.head.hidden = name === null && !this.own;
    this.name.textContent = name ?? "";
    this.name.title = name ?? "";
  }
}
