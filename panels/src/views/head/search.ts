// Finds tokens in the columns by their text: how many there are, and the next one.
import type { Item } from "../../session/shape/items";
import { h } from "../../ui/dom";
import { plain } from "../../ui/tokens";
import type { Pointed } from "./lines";

export interface Found {
  queries: ReadonlySet<number>;
  keys: ReadonlySet<number>;
  /** All of them, from the top; where both columns show one text, a token is found once. */
  all: Pointed[];
}

/** Items that hold this text, in whatever case. */
export function findItems(queries: readonly Item[], keys: readonly Item[], byteLevel: boolean, text: string): Found {
  const wanted = text.trim().toLocaleLowerCase();
  const places = (items: readonly Item[]): number[] =>
    wanted === ""
      ? []
      : items.flatMap((item, n) =>
          `${plain(item.text, byteLevel, 400)} ${item.label ?? ""}`.toLocaleLowerCase().includes(wanted) ? [n] : [],
        );
  const [left, right] = [places(queries), places(keys)];
  const same = left.length === right.length && left.every((one, n) => one === right[n]);
  const all: Pointed[] = [
    ...left.map((at): Pointed => ({ side: "query", at })),
    ...(same ? [] : right.map((at): Pointed => ({ side: "key", at }))),
  ];
  return { queries: new Set(left), keys: new Set(right), all };
}

export class Search {
  readonly root: HTMLElement;
  private readonly input = h("input", {
    type: "search",
    placeholder: "find a token",
    "aria-label": "find a token",
    title: "find a token (/): Enter goes to the next, Shift+Enter to the one before",
    spellcheck: "false",
  });
  private readonly said = h("span", { class: "num dim", "aria-live": "polite" });
  private found: Found = { queries: new Set(), keys: new Set(), all: [] };
  private at = -1;

  constructor(
    private readonly events: { look(text: string): Found; show(found: Found): void; go(place: Pointed | null): void },
  ) {
    this.root = h("span", { class: "control search" }, this.input, this.said);
    this.input.addEventListener("input", () => this.look());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape" && this.input.value !== "") {
        this.input.value = "";
        this.look();
      } else if (event.key === "Escape") this.input.blur();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  /** Looks again, where tokens have changed; nothing scrolls for it. */
  again(): void {
    if (this.input.value === "") return;
    this.found = this.events.look(this.input.value);
    this.at = Math.min(this.at, this.found.all.length - 1);
    this.events.show(this.found);
    this.said.textContent = this.found.all.length === 0 ? "none" : `${this.at + 1} of ${this.found.all.length}`;
  }

  private look(): void {
    this.found = this.events.look(this.input.value);
    this.at = -1;
    this.events.show(this.found);
    if (this.found.all.length > 0) this.next(1);
    else {
      this.said.textContent = this.input.value.trim() === "" ? "" : "none";
      this.events.go(null);
    }
  }

  private next(by: number): void {
    const { all } = this.found;
    if (all.length === 0) return;
    this.at = (this.at + by + all.length) % all.length;
    this.said.textContent = `${this.at + 1} of ${all.length}`;
    this.events.go(all[this.at]!);
  }
}
