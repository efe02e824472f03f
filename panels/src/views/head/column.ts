// One token column of the head view: virtual rows, pointer and keyboard, and values beside the tokens.
import { type Item, positionOf } from "../../session/shape/items";
import { h } from "../../ui/dom";
import { Rows, type Window } from "../../ui/rows";
import { tokenText, tokenTitle } from "../../ui/tokens";

export interface ColumnTokens {
  items: readonly Item[];
  byteLevel: boolean;
  /** What is compared: an item that one side has not is said to be of the other alone. */
  compared: boolean;
}

export interface ColumnEvents {
  hover(row: number | null): void;
  choose(row: number): void;
}

/** What stands beside a token: a number and one shade per head. */
export interface Beside {
  text: string;
  colour: string;
  shades: { colour: string; alpha: number }[];
}

export class TokenColumn {
  readonly root: HTMLElement;
  private readonly rows: Rows;
  private shown: ColumnTokens | null = null;
  private beside: ((row: number) => Beside | null) | null = null;
  private active: number | null = null;
  private chosen: number | null = null;
  private focus = 0;
  private found: ReadonlySet<number> = new Set();

  constructor(
    readonly side: "left" | "right",
    label: string,
    private readonly events: ColumnEvents,
  ) {
    this.root = h("div", { class: `tokens tokens-${side}`, tabindex: 0, role: "listbox", "aria-label": label });
    this.rows = new Rows(this.root, (row) => this.make(row));
    const rowOf = (event: Event): number | null => {
      const element = (event.target as Element).closest?.(".tok") as HTMLElement | null;
      return element ? Number(element.dataset.row) : null;
    };
    this.root.addEventListener("pointerover", (event) => {
      const row = rowOf(event);
      if (row !== null) events.hover(row);
    });
    this.root.addEventListener("pointerleave", () => events.hover(null));
    this.root.addEventListener("click", (event) => {
      const row = rowOf(event);
      if (row !== null) events.choose(row);
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("blur", () => events.hover(null));
  }

  private key(event: KeyboardEvent): void {
    const count = this.shown?.items.length ?? 0;
    const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (move !== undefined && count > 0) {
      this.focus = Math.max(0, Math.min(count - 1, (this.active ?? this.focus - move) + move));
      this.events.hover(this.focus);
      this.rows.get(this.focus)?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" || event.key === " ") this.events.choose(this.active ?? this.focus);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private make(row: number): HTMLElement {
    const { items, byteLevel, compared } = this.shown!;
    const item = items[row]!;
    const { text, label, id } = item;
    const position = positionOf(item);
    const alone = !compared || (item.a && item.b) ? null : item.a ? "A" : "B";
    const title = tokenTitle(text, position, id, label);
    const element = h(
      "div",
      {
        class: "tok",
        role: "option",
        "data-row": row,
        "data-position": position,
        title: alone ? `${title}\nonly in ${alone}: there is nothing to compare it with` : title,
      },
      tokenText(text, byteLevel, label),
      h("span", { class: "tok-beside" }),
    );
    if (item.special) element.classList.add("is-special");
    if (item.generated) element.classList.add("is-generated");
    if (alone) {
      element.classList.add("is-alone");
      element.lastElementChild!.before(h("small", { class: "alone-side" }, `only ${alone}`));
    }
    if (this.found.has(row)) element.classList.add("is-found");
    this.dress(row, element);
    return element;
  }

  private dress(row: number, element: HTMLElement): void {
    element.classList.toggle("is-on", row === this.active);
    element.classList.toggle("is-chosen", row === this.chosen);
    element.setAttribute("aria-selected", String(row === this.chosen));
    const beside = this.beside?.(row) ?? null;
    element.classList.toggle("has-value", beside !== null);
    const slot = element.lastElementChild as HTMLElement;
    if (!beside) {
      if (slot.hasChildNodes()) slot.replaceChildren();
      return;
    }
    slot.replaceChildren(
      shadeBar(beside.shades),
      h("span", { class: "val", style: `color:${beside.colour}` }, beside.text),
    );
  }

  tokens(data: ColumnTokens): void {
    this.shown = data;
    // What was pointed at is of the tokens before.
    this.active = this.chosen = this.beside = null;
    this.rows.clear();
  }

  show(window: Window, row: number): void {
    this.rows.show(window, row, this.shown?.items.length ?? 0);
  }

  /** Marks the items that a search has found. */
  mark(found: ReadonlySet<number>): void {
    this.found = found;
    this.rows.each((row, element) => element.classList.toggle("is-found", found.has(row)));
  }

  /** Shows the token under the pointer, the chosen one, and what stands beside each. */
  point(active: number | null, chosen: number | null, beside: ((row: number) => Beside | null) | null): void {
    this.active = active;
    this.chosen = chosen;
    this.beside = beside;
    this.rows.each((row, element) => this.dress(row, element));
  }
}

/** One shade per head, side by side, as a background: no element per weight. */
function shadeBar(shades: Beside["shades"]): HTMLElement {
  // Many heads share the room that a few have: the token stays readable.
  const width = Math.max(1, Math.min(8, 48 / shades.length));
  const stops = shades.map(({ colour, alpha }, i) => {
    const mixed = `color-mix(in srgb, ${colour} ${Math.round(alpha * 100)}%, transparent)`;
    return `${mixed} ${i * width}px ${(i + 1) * width}px`;
  });
  return h("span", {
    class: "shades",
    style: `width:${shades.length * width}px;background-image:linear-gradient(to right,${stops.join(",")})`,
  });
}
