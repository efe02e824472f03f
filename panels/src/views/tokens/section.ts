// What the sections of the tokens view share: their frame, what they draw from, and what they can be taken away as.
import type { Output, StateLayer, VectorLayer, WeightLayer } from "../../decode/types";
import { copyButton } from "../../ui/clipboard";
import { h } from "../../ui/dom";
import { isQuiet, notice } from "../../ui/notice";
import { type Ink, inkOf } from "../../draw/ink";
import { type Part, sheet } from "../../ui/paper";
import { keyAxis, queryAxis } from "../../session/kinds";
import type { Pointed } from "../../session/pointing";
import type { Settled } from "../loaded";
import { type NumberTable, type Shown, sideWords } from "../view";
import type { Names } from "./names";

/** Weights and vectors of the shown layer; null where they were not written. */
export interface LayerData {
  weights: WeightLayer | null;
  vectors: VectorLayer | null;
}

/** What sections need before they can draw. */
export interface Data {
  outputs: Settled<Output[]>;
  states: Settled<StateLayer[]>;
  layer: Settled<LayerData>;
}
export type Need = keyof Data;

export interface Context {
  shown: Shown;
  /** The axis whose tokens are shown, and the chosen one of them. */
  axis: string;
  names: Names;
  token: number;
  choose(token: number): void;
  data: Partial<Data>;
}

export abstract class Section {
  readonly root: HTMLElement;
  protected readonly content = h("div", { class: "section-content" });
  protected readonly controls = h("div", { class: "section-controls" });
  protected readonly note = h("p", { class: "section-note" });
  protected context: Context | null = null;
  /** Whether there is something to see. */
  drawn = false;

  constructor(
    readonly name: string,
    readonly title: string,
    readonly need: Need,
  ) {
    this.root = h(
      "section",
      { class: "tokens-section", "data-section": name, tabindex: 0, "aria-label": title },
      h(
        "div",
        { class: "section-head" },
        h("h3", {}, title),
        this.controls,
        copyButton(`copy ${title}`, () => (this.drawn ? this.table() : null)),
      ),
      this.content,
    );
    this.root.addEventListener("scroll", () => requestAnimationFrame(() => this.window()), { passive: true });
    this.root.addEventListener("pointerover", (event) => this.over(event.target as Element));
    this.root.addEventListener("pointerleave", () => this.point(null));
    this.root.addEventListener("keydown", (event) => {
      // They scroll here; elsewhere in the page they move through layers.
      if (event.target === this.root && /^(Arrow(Up|Down)|Page(Up|Down)|Home|End| )$/.test(event.key))
        event.stopPropagation();
    });
  }

  /** Draws what has been read; false while that is still being done. */
  update(context: Context): boolean {
    this.context = context;
    const found = context.data[this.need];
    if (!found) return false;
    this.drawn = false;
    delete this.root.dataset.said;
    if (found.error !== undefined) this.say(found.error);
    else {
      try {
        this.draw(context);
      } catch (error) {
        this.say(error);
      }
    }
    const side = sideWords(context.shown);
    if (this.drawn && side) this.note.prepend(`${side} `);
    this.root.classList.toggle("is-drawn", this.drawn);
    this.point(null);
    this.follow(context.shown.session.pointing.of(this));
    return true;
  }

  /** Whether its tokens are queries, keys or both; of both they are queries to who is pointed at them. */
  protected get sides(): { query: boolean; key: boolean; first: "query" | "key" } {
    const { axis, shown } = this.context!;
    const query = axis === queryAxis(shown.state.kind);
    return { query, key: axis === keyAxis(shown.state.kind), first: query ? "query" : "key" };
  }

  /** A token, or the row of one. */
  private over(target: Element): void {
    const found = target.closest("[data-at]") ?? target.closest(".row-line")?.querySelector("[data-at]");
    this.point(found ? Number((found as HTMLElement).dataset.at) : null);
  }

  private point(at: number | null): void {
    if (!this.context) return;
    const { first, ...sides } = this.sides;
    const there = at !== null && sides[first] ? { query: null, key: null, [first]: at } : null;
    this.context.shown.session.pointing.point(this, there);
  }

  /** Marks the tokens that another view points at. */
  follow(at: Pointed | null): void {
    for (const one of this.root.querySelectorAll(".is-pointed")) one.classList.remove("is-pointed");
    if (!at || !this.context || this.root.hidden) return;
    const { query, key } = this.sides;
    for (const position of [query ? at.query : null, key ? at.key : null]) {
      if (position === null) continue;
      for (const one of this.root.querySelectorAll(`[data-at="${position}"]`))
        (one.closest(".row-line") ?? one).classList.add("is-pointed");
    }
  }

  /** Draws, or throws what has to be said instead. */
  protected abstract draw(context: Context): void;
  /** Says which parts of it are in sight. */
  abstract window(): void;
  abstract table(): NumberTable;
  /** Lines of Python that leave the shown array in `found`; `step` is the recorded step. */
  abstract python(): string[];
  abstract caption(): string;
  abstract inspect(): unknown;
  protected abstract parts(ink: Ink, width: number): Part[];

  protected say(error: unknown): void {
    this.content.replaceChildren(notice(error));
    this.root.dataset.said = isQuiet(error) ? "missing" : error instanceof Error ? error.name : "error";
  }

  protected put(...parts: Node[]): void {
    this.drawn = true;
    if (parts.length !== this.content.childNodes.length || parts.some((one, i) => this.content.childNodes[i] !== one))
      this.content.replaceChildren(...parts);
  }

  /** Width of what is drawn. */
  protected get width(): number {
    return Math.max(120, this.content.clientWidth || 320);
  }

  /** Where a part of it begins in the window, and how high that is. */
  protected sight(part: HTMLElement): [number, number] {
    const top = part.getBoundingClientRect().top - this.root.getBoundingClientRect().top;
    return [-top, this.root.clientHeight || 400];
  }

  svg(): SVGSVGElement {
    const ink = inkOf(this.root);
    const width = Math.min(900, Math.max(320, this.width));
    return sheet(this.caption(), width, this.parts(ink, width), ink);
  }
}
