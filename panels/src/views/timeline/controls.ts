// The timeline's row of controls: lines or heat, play, the step to compare with, the numbers beside, and the best step.
import type { Commit } from "../../decode/types";
import type { Session } from "../../session/session";
import type { State } from "../../session/state";
import { Choice, chooseOption, Switch } from "../../ui/controls";
import { h, short } from "../../ui/dom";
import { bestStep, chosenNames, namesOption, recordedNames, spelled } from "./beside";

export type Mode = "lines" | "heat";
export const MODE = "timeline.mode";
export const BESIDE = "timeline.beside";

export const modeOf = (state: State): Mode => (state.options[MODE] === "heat" ? "heat" : "lines");

/** B of a comparison of two steps of this run; null where nothing or something else is compared. */
export function comparedStep({ compare, step }: State): number | null {
  if (!compare || compare.run !== null || compare.step === null || compare.step === step) return null;
  return compare.step;
}

/** Compares two steps, each of the run and input that are shown. */
export function compareSteps(session: Session, a: number, b: number): void {
  if (a === b) session.set({ step: a, compare: null });
  else session.set({ compare: { run: null, step: b, input: null }, step: a, side: "diff" });
}

export class TimelineControls {
  private readonly mode: Choice;
  private readonly play: HTMLButtonElement;
  private readonly beside = h("span", { class: "control beside", role: "group", "aria-label": "recorded numbers" });
  private readonly how = h(
    "span",
    { class: "dim wide-only", title: "or Shift with ← and →" },
    "Shift-drag compares steps",
  );
  private readonly best = h("button", { class: "btn best-step", type: "button" });
  private switches = new Map<string, Switch>();
  private names: string[] = [];

  constructor(
    root: HTMLElement,
    private readonly session: Session,
    toggle: () => void,
  ) {
    this.mode = new Choice("of", "heads of the timeline: chosen ones as lines, all as heat", (value) =>
      chooseOption(session, MODE, value, "lines"),
    );
    this.play = h("button", { class: "btn play", type: "button", onclick: toggle });
    this.best.addEventListener("click", () => {
      const best = bestStep(session.commits);
      if (best) session.set({ step: best.step });
    });
    root.append(this.play, this.mode.root, this.beside, this.how, this.best);
  }

  update(state: State, playing: boolean, heat: boolean): void {
    const { session } = this;
    const { commits } = session;
    this.mode.root.hidden = !heat;
    this.mode.update(
      [
        { value: "lines", name: "chosen heads" },
        { value: "heat", name: "all heads" },
      ],
      modeOf(state),
    );
    this.play.textContent = playing ? "❚❚ pause" : "▶ play";
    this.play.title = playing ? "stop here (p)" : "show the steps one after the other (p)";
    this.showBeside(commits, state);
    const best = bestStep(commits);
    this.best.hidden = best === null;
    if (!best) return;
    this.best.textContent = `★ best: step ${best.step}, ${spelled(best.name)} ${short(best.value)}`;
    this.best.title = best.checkpoint ? `checkpoint ${best.checkpoint}` : "show this step";
  }

  private showBeside(commits: readonly Commit[], state: State): void {
    const known = recordedNames(commits);
    if (known.join("\n") !== this.names.join("\n")) {
      this.names = known;
      this.switches = new Map(
        known.map((name) => [name, new Switch(spelled(name), `draw ${spelled(name)}`, (on) => this.turn(name, on))]),
      );
      this.beside.replaceChildren(h("span", {}, "beside"), ...[...this.switches.values()].map((one) => one.root));
    }
    this.beside.hidden = known.length === 0 || modeOf(state) === "heat";
    const chosen = chosenNames(state.options[BESIDE], known);
    for (const [name, one] of this.switches) one.update(chosen.includes(name));
  }

  private turn(name: string, on: boolean): void {
    const chosen = chosenNames(this.session.state.options[BESIDE], this.names);
    const names = this.names.filter((one) => (one === name ? on : chosen.includes(one)));
    this.session.choose({ [BESIDE]: namesOption(names, this.names) });
  }
}
