// Kinds of attention as tabs over the grid; hidden while there is one.
import { kindName } from "../../session/kinds";
import { h } from "../../ui/dom";

export class KindTabs {
  readonly root = h("div", { class: "kinds", role: "tablist", "aria-label": "kinds of attention" });
  private kinds: string[] = [];
  private readonly name = `kinds-${Math.random().toString(36).slice(2, 8)}`;

  constructor(
    /** What the tabs are over. */
    private readonly panel: HTMLElement,
    private readonly choose: (kind: string) => void,
  ) {
    panel.id = `${this.name}-panel`;
    this.root.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by === undefined) return;
      const tabs = [...this.root.children] as HTMLElement[];
      const at = tabs.indexOf(document.activeElement as HTMLElement);
      const next = tabs[(at + by + tabs.length) % tabs.length];
      next?.focus();
      next?.click();
      event.preventDefault();
      event.stopPropagation();
    });
  }

  update(kinds: readonly string[], shown: string): void {
    this.root.hidden = kinds.length < 2;
    if (kinds.join() !== this.kinds.join()) {
      this.kinds = [...kinds];
      this.root.replaceChildren(...kinds.map((kind, n) => this.make(kind, n)));
    }
    kinds.forEach((kind, n) => {
      const tab = this.root.children[n] as HTMLElement;
      tab.setAttribute("aria-selected", String(kind === shown));
      tab.tabIndex = kind === shown ? 0 : -1;
    });
    if (kinds.length < 2) {
      for (const name of ["role", "aria-labelledby"]) this.panel.removeAttribute(name);
    } else {
      this.panel.setAttribute("role", "tabpanel");
      this.panel.setAttribute("aria-labelledby", `${this.name}-${kinds.indexOf(shown)}`);
    }
  }

  private make(kind: string, n: number): HTMLElement {
    const onclick = (): void => this.choose(kind);
    const props = { class: "btn", type: "button", role: "tab", id: `${this.name}-${n}` };
    return h("button", { ...props, "aria-controls": this.panel.id, onclick }, kindName(kind));
  }
}
