// Keys of the studio and the table that tells them.
import { moveHead, moveLayer, moveStep } from "../session/move";
import type { Session } from "../session/session";
import type { Side } from "../session/state";
import { h } from "./dom";

export const KEYS: [string, string][] = [
  ["↑ ↓", "previous, next layer"],
  ["← →", "previous, next head alone"],
  ["a", "all heads"],
  ["[ ]", "previous, next step"],
  ["c", "compare with the step before, and off"],
  ["x", "swap A and B"],
  ["1 2 3", "A, B, B − A"],
  ["/", "find a token"],
  ["p", "play the steps"],
  ["Enter", "opens the head in the model view, the next find, the query in the matrix"],
  ["Space, Shift+click", "choose several heads in the model view"],
  ["+ − 0, Ctrl+wheel", "zoom in the matrix, and the whole"],
  ["Shift+drag", "two steps to compare in the timeline"],
  ["click a token", "its query in the neuron view"],
  ["double-click a colour", "that head alone, again: all"],
  ["Esc", "all views again"],
  ["?", "this table"],
];

/** What keys do beside moving. */
export interface Actions {
  help(): void;
  compare(): void;
  find(): void;
  play(): void;
}

const SIDES: Record<string, Side> = { "1": "a", "2": "b", "3": "diff" };

/** Handles a key; false when it is none of ours. */
export function press(event: KeyboardEvent, session: Session, act: Actions): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const target = event.target as HTMLElement | null;
  if (target && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) {
    // Sliders and drop-downs use arrows and letters themselves, and have no use for these.
    const free = target.tagName === "SELECT" || (target as HTMLInputElement).type === "range";
    if (!free || !["[", "]", "?"].includes(event.key)) return false;
  }
  switch (event.key) {
    case "ArrowUp":
      moveLayer(session, -1);
      return true;
    case "ArrowDown":
      moveLayer(session, 1);
      return true;
    case "ArrowLeft":
      moveHead(session, -1);
      return true;
    case "ArrowRight":
      moveHead(session, 1);
      return true;
    case "[":
      moveStep(session, -1);
      return true;
    case "]":
      moveStep(session, 1);
      return true;
    case "a":
      session.set({ heads: null });
      return true;
    case "?":
      act.help();
      return true;
    case "c":
      act.compare();
      return true;
    case "p":
      act.play();
      return true;
    case "/":
      act.find();
      return true;
    case "x":
      session.swap();
      return true;
    case "1":
    case "2":
    case "3":
      if (session.state.compare) session.set({ side: SIDES[event.key]! });
      return session.state.compare !== null;
    default:
      return false;
  }
}

export function helpDialog(): HTMLDialogElement {
  const dialog = h("dialog", { class: "help", "aria-label": "keys" });
  dialog.append(
    h("h2", {}, "Keys"),
    h(
      "table",
      {},
      ...KEYS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, what))),
    ),
    h("button", { class: "btn", type: "button", onclick: () => dialog.close() }, "Close"),
  );
  return dialog;
}
