// What is compared with what: chooses another step, run or input, which of both is drawn, and swaps them.
import { StepList } from "../session/other";
import type { Session } from "../session/session";
import type { Other, Side, State } from "../session/state";
import { fillSelect, h } from "./dom";
import { inputName } from "./inputs";
import { MANY, RunPicker } from "./picker";

const WHAT = ["step", "run", "input"] as const;
type What = (typeof WHAT)[number];

const SIDES: [Side, string, string][] = [
  ["a", "A", "draw A: what is open"],
  ["b", "B", "draw B: what it is compared with"],
  ["diff", "B − A", "draw the difference: blue where B is greater, orange where A is"],
];

export class CompareBar {
  readonly root: HTMLElement;
  private readonly what = h("select", { "aria-label": "compare with another" });
  private readonly which = h("select", { "aria-label": "compared with" });
  /** Instead of the drop-down where runs are many. */
  private readonly picker: RunPicker;
  private readonly step = h("select", { "aria-label": "step compared with" });
  private readonly sides = h("span", { class: "swap always", role: "group", "aria-label": "side drawn" });
  private readonly turn: HTMLButtonElement;
  private readonly said = h("span", { class: "compare-said" });
  private readonly error = h("span", { class: "compare-error", role: "alert" });
  private readonly steps: StepList;

  constructor(private readonly session: Session) {
    for (const [side, name, title] of SIDES) {
      const choose = (): void => session.set({ side });
      this.sides.append(h("button", { class: "btn", type: "button", "data-side": side, title, onclick: choose }, name));
    }
    this.turn = h(
      "button",
      {
        class: "btn",
        type: "button",
        title: "swap A and B",
        "aria-label": "swap A and B",
        onclick: () => session.swap(),
      },
      "⇄",
    );
    this.what.addEventListener("change", () =>
      session.set({ compare: null, ...this.first(this.what.value), side: "diff" }),
    );
    this.picker = new RunPicker(
      session,
      `${session.source.noun ?? "run"} compared with`,
      (run) => this.pick(run),
      () => session.run?.id ?? null,
    );
    this.which.addEventListener("change", () => this.pick(this.which.value));
    this.steps = new StepList(session.others, () => this.update());
    this.step.addEventListener("change", () => {
      const { compare } = session.state;
      if (compare) session.set({ compare: { ...compare, step: Number(this.step.value) } });
    });
    this.root = h(
      "div",
      { class: "compare" },
      h("label", { class: "pick" }, h("span", {}, "compare"), this.what),
      this.which,
      this.picker.root,
      this.step,
      this.sides,
      this.turn,
      this.said,
      this.error,
    );
  }

  /**
   * The comparison of a kind that people mean first: the step before with this one, the next input, another run. B is what is
   * newer, so that B − A is what has changed.
   */
  private first(what: string): Partial<State> | null {
    const { session } = this;
    const { state, commits, scene } = session;
    const none: Other = { run: null, step: null, input: null };
    if (what === "step") {
      const at = commits.findIndex((one) => one.step === state.step);
      const [before, after] = [commits[at - 1], commits[at + 1]];
      if (before) return { step: before.step, compare: { ...none, step: state.step } };
      return after ? { compare: { ...none, step: after.step } } : null;
    }
    if (what === "input") {
      const other =
        scene?.numbers.find((one) => one > state.input) ?? scene?.numbers.find((one) => one !== state.input);
      return other === undefined ? null : { compare: { ...none, input: other } };
    }
    const other = session.runs.find((one) => one.id !== session.run?.id);
    return what === "run" && other ? { compare: { ...none, run: other.id } } : null;
  }

  private pick(value: string): void {
    const none: Other = { run: null, step: null, input: null };
    const { session } = this;
    const what = whatOf(session.state.compare);
    if (what === "run") session.set({ compare: { ...none, run: value } });
    else if (what !== null) session.set({ compare: { ...none, [what]: Number(value) } });
  }

  /** Turns comparing on, of the step before with this one, and off again, back at the newer of two steps. */
  toggle(): void {
    const { session } = this;
    const { compare, step } = session.state;
    const newer = compare && compare.run === null && compare.step !== null && compare.step > (step ?? 0);
    if (compare) session.set({ compare: null, ...(newer ? { step: compare.step } : {}) });
    else session.set({ ...WHAT.map((what) => this.first(what)).find((one) => one !== null), side: "diff" });
  }

  update(): void {
    const { session } = this;
    const { state, scene, compared, comparedFailure: failure } = session;
    const { compare } = state;
    const what = whatOf(compare);
    const can = WHAT.filter((one) => one === what || this.first(one) !== null);
    this.root.hidden = !scene || can.length === 0;
    if (!scene) return;
    fillSelect(
      this.what,
      [
        { value: "off", name: "off" },
        ...can.map((one) => ({ value: one, name: one === "run" ? (session.source.noun ?? one) : one })),
      ],
      what ?? "off",
    );
    const on = compare !== null;
    this.root.classList.toggle("is-on", on);
    for (const element of [this.which, this.sides, this.turn, this.said]) element.hidden = !on;
    const many = what === "run" && (session.list.long || session.runs.length > MANY);
    this.picker.root.hidden = !many;
    if (many) this.which.hidden = true;
    this.step.hidden = what !== "run";
    this.error.textContent = failure ? wordsOf(failure) : "";
    if (!compare || !what) return;
    this.fill(what, compare);
    for (const button of this.sides.children)
      button.setAttribute(
        "aria-pressed",
        String((button as HTMLElement).dataset.side === (failure ? "a" : state.side)),
      );
    this.turn.disabled = compared === null;
    const named = compared && compared.run.id !== session.run?.id ? `${compared.run.name}, ` : "";
    const b = compared
      ? `B: ${named}step ${compared.scene.commit.step}, ${inputName(compared.scene, compared.input, 30)}`
      : "";
    this.said.textContent = failure ? "" : compared ? `A: step ${state.step} · ${b}` : "reading what to compare with…";
    this.said.title = compared ? `run ${compared.run.name}` : "";
  }

  private fill(what: What, compare: Other): void {
    const { session } = this;
    const { commits, scene, runs, run, state } = session;
    if (what === "step") {
      const others = commits.filter((one) => one.step !== state.step || one.step === compare.step);
      const list = others.map((one) => ({ value: String(one.step), name: `step ${one.step}` }));
      fillSelect(this.which, list, String(compare.step));
    } else if (what === "input") {
      const list = scene!.numbers.map((one) => ({ value: String(one), name: inputName(scene!, one) }));
      fillSelect(this.which, list, String(compare.input));
    } else {
      const others = runs.filter((one) => one.id !== run?.id || one.id === compare.run);
      if (this.which.hidden) this.picker.update(compare.run ?? "");
      else {
        const named = others.map((one) => ({ value: one.id, name: one.name }));
        fillSelect(this.which, named, compare.run ?? "");
      }
      this.fillSteps(compare);
    }
  }

  private fillSteps(compare: Other): void {
    const { compared } = this.session;
    const shown = compare.step ?? compared?.scene.commit.step ?? null;
    fillSelect(
      this.step,
      this.steps.of(compare.run ?? "").map((one) => ({ value: String(one), name: `step ${one}` })),
      String(shown),
    );
  }
}

function whatOf(compare: Other | null): What | null {
  if (!compare) return null;
  return compare.run !== null ? "run" : compare.input !== null ? "input" : "step";
}

function wordsOf(error: unknown): string {
  const remedy = (error as { remedy?: string }).remedy;
  return [error instanceof Error ? error.message : String(error), remedy].filter(Boolean).join(" ");
}
