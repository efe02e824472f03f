// Chooses heads from a list, in any combination: for narrow pages, where the view with the colour squares may not be in sight.
import { headColour } from "../draw/colour";
import { h } from "./dom";

/** Pixels of the box's width, and of what stays free beside it. */
const WIDTH = 216;
const MARGIN = 8;

export class HeadsMenu {
  readonly root: HTMLDetailsElement;
  private readonly said = h("span", { class: "num" });
  private readonly summary = h("summary", { class: "btn" }, this.said);
  private readonly list = h("div", { class: "heads-list" });
  private readonly box: HTMLElement;
  private heads: number[] = [];
  private chosen: number[] = [];
  private key = "";

  constructor(private readonly change: (heads: number[] | null) => void) {
    const all = h("button", { class: "btn", type: "button", onclick: () => this.change(null) }, "all");
    const none = h(
      "button",
      { class: "btn", type: "button", title: "the first of the chosen heads alone", onclick: () => this.first() },
      "one",
    );
    const style = `width:${WIDTH}px`;
    this.box = h(
      "div",
      { class: "heads-box", role: "group", "aria-label": "heads shown", style },
      this.list,
      all,
      none,
    );
    this.root = h("details", { class: "heads-menu" }, this.summary, this.box);
    this.summary.addEventListener("click", () => this.place());
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.root.open) return;
      this.root.open = false;
      this.summary.focus();
      event.preventDefault();
      event.stopPropagation();
    });
    this.root.addEventListener("focusout", (event) => {
      const to = event.relatedTarget as Node | null;
      // A label takes the focus from its box for a moment, and gives it to nobody.
      if (to && !this.root.contains(to)) this.root.open = false;
    });
    this.close = (event) => {
      if (this.root.open && !this.root.contains(event.target as Node)) this.root.open = false;
    };
    document.addEventListener("pointerdown", this.close);
  }

  private readonly close: (event: Event) => void;

  /** Moves the box to the left where it would reach out of the studio, before it opens. */
  private place(): void {
    const studio = this.root.closest(".attnlog")?.getBoundingClientRect();
    const room = (studio?.right ?? Number.POSITIVE_INFINITY) - MARGIN - this.root.getBoundingClientRect().left;
    this.box.style.left = `${Math.min(0, room - WIDTH)}px`;
  }

  update(heads: number[], chosen: number[]): void {
    this.heads = heads;
    this.chosen = chosen;
    const key = heads.join();
    if (key !== this.key) {
      this.key = key;
      this.list.replaceChildren(...heads.map((head) => this.make(head)));
    }
    for (const box of this.list.querySelectorAll("input")) box.checked = chosen.includes(Number(box.value));
    const all = chosen.length === heads.length;
    this.said.textContent = all
      ? `all ${heads.length}`
      : chosen.length > 3
        ? `${chosen.length} of ${heads.length}`
        : chosen.join(", ");
    this.summary.setAttribute("aria-label", `heads: ${this.said.textContent}`);
  }

  private make(head: number): HTMLElement {
    const box = h("input", { type: "checkbox", value: head, onchange: () => this.toggle(head, box) });
    const style = `--light:${headColour(head, false)};--dark:${headColour(head, true)}`;
    return h("label", { class: "heads-item num", style }, box, String(head));
  }

  private toggle(head: number, box: HTMLInputElement): void {
    const next = box.checked ? [...this.chosen, head] : this.chosen.filter((one) => one !== head);
    // The last head stays: an empty picture says nothing.
    if (next.length === 0) box.checked = true;
    else this.change(next);
  }

  private first(): void {
    const one = this.chosen[0] ?? this.heads[0];
    if (one !== undefined) this.change([one]);
  }

  destroy(): void {
    document.removeEventListener("pointerdown", this.close);
  }
}
