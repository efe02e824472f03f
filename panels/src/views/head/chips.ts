// Colour squares that choose heads: click toggles, double-click isolates, again brings all back.
import { headColour } from "../../draw/colour";
import { h } from "../../ui/dom";

export class Chips {
  readonly root = h("div", { class: "chips", role: "group", "aria-label": "heads" });

  private chosen = new Set<number>();
  private before = new Set<number>();
  private key = "";

  constructor(private readonly change: (heads: number[] | null) => void) {}

  update(heads: number[], chosen: number[], dark: boolean): void {
    this.chosen = new Set(chosen);
    const key = `${heads.join()} ${dark}`;
    if (key !== this.key) {
      this.key = key;
      this.root.replaceChildren(...heads.map((head) => this.make(head, dark)));
    }
    for (const chip of this.root.children) {
      chip.setAttribute("aria-pressed", String(this.chosen.has(Number((chip as HTMLElement).dataset.head))));
    }
  }

  private make(head: number, dark: boolean): HTMLElement {
    return h(
      "button",
      {
        class: "chip",
        type: "button",
        "data-head": head,
        style: `--c:${headColour(head, dark)}`,
        title: `head ${head}: click toggles, double-click shows it alone`,
        "aria-label": `head ${head}`,
        onclick: (event: MouseEvent) => {
          if (event.detail > 1) return;
          this.before = new Set(this.chosen);
          this.toggle(head);
        },
        ondblclick: () => this.isolate(head),
      },
      String(head),
    );
  }

  private toggle(head: number): void {
    const next = new Set(this.chosen);
    if (next.has(head)) next.delete(head);
    else next.add(head);
    // The last head stays: an empty picture says nothing.
    if (next.size > 0) this.change([...next]);
  }

  private isolate(head: number): void {
    // The double-click's first click has already toggled: what counts is what was chosen before it.
    const alone = this.before.size === 1 && this.before.has(head);
    this.change(alone ? null : [head]);
  }
}
