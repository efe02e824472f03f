// A few words beside the pointer; what they say stands elsewhere too, for who does not point.
import { h } from "./dom";

export class Hint {
  readonly root = h("div", { class: "hint", "aria-hidden": "true", hidden: true });

  /** Shows words near a point of the window, inside it. */
  show(said: readonly (Node | string)[], x: number, y: number): void {
    const { root } = this;
    root.replaceChildren(...said);
    root.hidden = false;
    const { offsetWidth, offsetHeight } = root;
    root.style.left = `${Math.max(4, Math.min(x + 10, innerWidth - offsetWidth - 4))}px`;
    root.style.top = `${y + 12 + offsetHeight > innerHeight ? Math.max(4, y - offsetHeight - 14) : y + 12}px`;
  }

  hide(): void {
    this.root.hidden = true;
  }
}
