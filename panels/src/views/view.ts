// What a view is: one file that draws one element from the session, and knows nothing of hosts.
import type { Scene } from "../session/scene";
import type { Compared } from "../session/other";
import type { Session } from "../session/session";
import type { State } from "../session/state";
import type { Store } from "../session/store";
import { h } from "../ui/dom";
import { isQuiet, notice } from "../ui/notice";

/** What a settled session shows: the scene is read, the state fits it. Where B is looked at, all of it is B's. */
export interface Shown {
  session: Session;
  run: string;
  store: Store;
  scene: Scene;
  state: State;
  /** The other side, where the difference is asked for; null everywhere else. */
  other: Compared | null;
  dark: boolean;
}

export interface View {
  readonly root: HTMLElement;
  /** Draws for a settled session; called for every change, so it compares what it drew before. */
  update(shown: Shown): void;
  /** Begins to play the steps, or stops. */
  play?(): void;
  /** Puts the caret into the view's search field. */
  find?(): void;
  /** What can be taken away of what is on screen; null while nothing is drawn. */
  take?(): Take | null;
  /** Numbers as drawn, for tests and for hosts: the very arrays the drawing used. */
  inspect(): Record<string, unknown>;
  destroy(): void;
}

/** Rows of numbers and words: the text of a picture, and what a CSV file holds. NaN: not known. */
export interface NumberTable {
  columns: string[];
  /** All rows; there may be many, so they are made one by one. */
  rows(): Iterable<(string | number)[]>;
  count: number;
}

/** What a view lets people take away: a file with it in, or what they paste. */
export interface Take {
  /** Of files, without an ending: `head-step100-layer5`. */
  name: string;
  /** A caption: what is to be seen, and of what. */
  title: string;
  /** What is on screen as shapes and text that need no style sheet; null where there is no picture. */
  svg(): SVGSVGElement | null;
  /** The numbers of the picture. */
  table(): NumberTable;
  /** Python that gets the same array, with `run` already opened. */
  python(): string;
}

export interface ViewType {
  name: string;
  title: string;
  /** Where it stands on a wide page; of several in one place the one last opened is there. */
  area: "left" | "centre" | "right" | "bottom" | "corner";
  /** Reads after those of smaller number have drawn: what is looked at first comes first. */
  order: number;
  make(session: Session): View;
}

/** The frame all views share: title bar, body, and the marks that say what is drawn. */
export class Frame {
  readonly root: HTMLElement;
  readonly title = h("div", { class: "view-title" });
  readonly tools = h("div", { class: "view-tools" });
  /** Switches and sliders of the view, in a row under its bar; hidden while it is empty. */
  readonly controls = h("div", { class: "view-controls" });
  readonly body = h("div", { class: "view-body" });

  constructor(name: string, label: string) {
    this.root = h(
      "section",
      { class: `view view-${name}`, "data-view": name, "aria-label": label },
      h("header", { class: "panel-bar" }, this.title, this.tools),
      this.controls,
      this.body,
    );
  }

  /** A redraw is on its way: what is on screen is of an earlier state. */
  pending(): void {
    delete this.root.dataset.ready;
    delete this.root.dataset.said;
  }

  ready(key: string): void {
    this.root.dataset.ready = key;
    this.root.classList.remove("is-waiting");
  }

  /** Words instead of a drawing. */
  say(error: unknown, key: string): void {
    this.body.replaceChildren(notice(error));
    this.root.dataset.said = isQuiet(error) ? "missing" : error instanceof Error ? error.name : "error";
    this.ready(key);
  }
}

/** Which of two sides a view shows that has no difference to show: nothing where only one is looked at. */
export function sideWords({ state, other, run, session }: Shown): string {
  if (!other) return "";
  const named = other.run.id === run ? "" : `, run ${session.runs.find((one) => one.id === run)?.name ?? run}`;
  return `Shown is A, step ${state.step}${other.input === state.input ? "" : `, input ${state.input}`}${named}.`;
}

/** `<step>/<input>/<kind>/<layer>`, with − for what a view has not. */
export function readyKey(
  step: number | null,
  input: number | string = "-",
  kind: string = "-",
  layer: number | string = "-",
): string {
  return `${step ?? "-"}/${input}/${kind}/${layer}`;
}
