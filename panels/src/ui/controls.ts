// Small controls of views: switches, lists and sliders that set one option of the state.
import type { Session } from "../session/session";
import { fillSelect, h } from "./dom";

/** A button that is on or off. */
export class Switch {
  readonly root: HTMLButtonElement;

  constructor(name: string, title: string, change: (on: boolean) => void) {
    this.root = h("button", { class: "btn", type: "button", title, "aria-pressed": "false" }, name);
    this.root.addEventListener("click", () => change(this.root.getAttribute("aria-pressed") !== "true"));
  }

  update(on: boolean): void {
    this.root.setAttribute("aria-pressed", String(on));
  }

  /** Says why it cannot be switched now; null: it can. */
  refuse(why: string | null, title: string): void {
    this.root.disabled = why !== null;
    this.root.title = why ?? title;
  }
}

/** A drop-down with its name before it. */
export class Choice {
  readonly root: HTMLElement;
  private readonly select = h("select");

  constructor(name: string, label: string, change: (value: string) => void) {
    this.select.setAttribute("aria-label", label);
    this.select.addEventListener("change", () => change(this.select.value));
    this.root = h("label", { class: "control" }, h("span", {}, name), this.select);
  }

  update(options: { value: string; name: string }[], value: string): void {
    fillSelect(this.select, options, value);
  }
}

/** A slider with its name before it and what it stands for behind it. */
export class Slider {
  readonly root: HTMLElement;
  private readonly input: HTMLInputElement;
  private readonly said = h("output", { class: "num" });

  constructor(
    name: string,
    label: string,
    range: { min: number; max: number; step: number },
    private readonly text: (value: number) => string,
    change: (value: number) => void,
  ) {
    this.input = h("input", { type: "range", ...range, "aria-label": label });
    this.input.addEventListener("input", () => {
      this.say(Number(this.input.value));
      change(Number(this.input.value));
    });
    this.root = h("label", { class: "control" }, h("span", {}, name), this.input, this.said);
  }

  private say(value: number): void {
    this.said.textContent = this.text(value);
    this.input.setAttribute("aria-valuetext", this.text(value));
  }

  /** `said`: what it stands for, where that is more than the slider can be set to. */
  update(value: number, said?: string): void {
    this.input.value = String(value);
    this.say(value);
    if (said === undefined) return;
    this.said.textContent = said;
    this.input.setAttribute("aria-valuetext", said);
  }
}

/** Sets one option of a view; the value that the view has by itself is not written down. */
export function chooseOption(session: Session, name: string, value: string, usual: string): void {
  session.choose({ [name]: value === usual ? null : value });
}
