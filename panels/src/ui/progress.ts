// What is being fetched, by bytes: a thin bar that appears only where there is something to wait for.
import type { Progress } from "../session/progress";
import { h } from "./dom";

/** Milliseconds that pass before anybody wants to know. */
const PATIENCE = 250;

const size = (bytes: number): string =>
  bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

export class ProgressBar {
  readonly root = h("div", { class: "progress", role: "progressbar", "aria-label": "reading the run", hidden: true });
  private readonly fill = h("span", { class: "progress-fill" });
  private readonly said = h("span", { class: "progress-said num" });
  private timer: ReturnType<typeof setTimeout> | undefined;
  readonly release: () => void;

  constructor(private readonly progress: Progress) {
    this.root.append(this.fill, this.said);
    this.release = progress.subscribe(() => this.update());
  }

  private update(): void {
    const { wanted, got, busy } = this.progress;
    if (!busy) {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.root.hidden = true;
      return;
    }
    this.timer ??= setTimeout(() => {
      this.root.hidden = !this.progress.busy;
      this.update();
    }, PATIENCE);
    if (this.root.hidden) return;
    const share = wanted > 0 ? got / wanted : 0;
    this.fill.style.width = `${100 * share}%`;
    this.said.textContent = `reading ${size(got)} of ${size(wanted)}`;
    this.root.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    this.root.setAttribute("aria-valuetext", this.said.textContent);
  }
}
