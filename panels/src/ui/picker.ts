// Chooses one of many runs: a button that says which, and a dialog to find another by typing or by its experiment.
import type { RunName } from "../host/source";
import type { Session } from "../session/session";
import { fillSelect, h } from "./dom";

/** More runs than this are looked through in a dialog, not in a drop-down. */
export const MANY = 30;
/** Rows shown at a time; of more the reader is told to narrow them down. */
const SHOWN = 200;

export class RunPicker {
  readonly root: HTMLElement;
  private readonly name = h("span", { class: "picker-name" });
  private readonly button: HTMLButtonElement;
  private readonly dialog: HTMLDialogElement;
  private readonly search = h("input", {
    type: "search",
    placeholder: "name, experiment, status or id",
    "aria-label": "find a run",
  });
  private readonly group = h("select", { "aria-label": "runs of experiment" });
  private readonly rows = h("ul", { class: "picker-rows" });
  private readonly said = h("p", { class: "picker-said", role: "status" });
  private chosen = "";
  private drawn = "";

  constructor(
    private readonly session: Session,
    private readonly label: string,
    private readonly choose: (run: string) => void,
    /** A run that cannot be chosen here. */
    private readonly except: () => string | null = () => null,
  ) {
    const open = (): void => this.open();
    this.button = h(
      "button",
      { class: "btn picker", type: "button", "aria-haspopup": "dialog", onclick: open },
      this.name,
      h("span", { "aria-hidden": "true" }, "▾"),
    );
    const close = (): void => this.dialog.close();
    this.dialog = h(
      "dialog",
      { class: "runs", "aria-label": `choose: ${label}` },
      h(
        "div",
        { class: "picker-bar" },
        this.search,
        this.group,
        h("button", { class: "btn", onclick: close }, "close"),
      ),
      this.rows,
      this.said,
    );
    this.search.addEventListener("input", () => this.draw());
    this.group.addEventListener("change", () => this.draw());
    this.dialog.addEventListener("keydown", (event) => this.move(event));
    // What lies around the dialog is the dialog itself.
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && close());
    this.root = h("div", { class: "picker-place" }, this.button, this.dialog);
  }

  update(chosen: string): void {
    this.chosen = chosen;
    const run = this.session.runs.find((one) => one.id === chosen);
    this.name.textContent = run?.name ?? "choose";
    this.button.title = run ? aboutOf(run) : "";
    this.button.setAttribute("aria-label", `${this.label}: ${run?.name ?? "none"}`);
    if (this.dialog.open) this.draw();
  }

  private open(): void {
    this.search.value = "";
    this.drawn = "";
    this.dialog.showModal();
    this.draw();
    this.search.focus();
    // What was logged since the page was opened belongs into the list, too.
    void this.session.list.list();
  }

  private draw(): void {
    const { list, runs } = this.session;
    const groups = [...new Set(runs.flatMap((one) => one.group ?? []))].sort();
    this.group.hidden = groups.length < 2;
    const options = groups.map((one) => ({ value: `=${one}`, name: one }));
    fillSelect(this.group, [{ value: "", name: "all experiments" }, ...options], this.group.value);
    const among = runs.filter((one) => one.id !== this.except());
    const found = matching(among, this.search.value, this.group.value.slice(1) || null);
    const shown = found.slice(0, SHOWN);
    const wanted = JSON.stringify([shown, this.chosen]);
    if (wanted !== this.drawn) {
      this.drawn = wanted;
      this.rows.replaceChildren(...shown.map((one) => h("li", {}, this.row(one))));
    }
    const count = found.length === among.length ? `${among.length} runs` : `${found.length} of ${among.length} runs`;
    const rest = found.length > SHOWN ? `, the first ${SHOWN} are shown` : "";
    const failed = list.error ? " · the list could not be read to its end" : "";
    this.said.textContent = `${count}${rest}${list.busy ? " · reading the list…" : failed}`;
  }

  private row(run: RunName): HTMLElement {
    const take = (): void => {
      this.dialog.close();
      this.choose(run.id);
    };
    return h(
      "button",
      {
        class: "picker-row",
        type: "button",
        "data-run": run.id,
        "aria-current": run.id === this.chosen,
        onclick: take,
      },
      h("span", { class: "picker-name" }, run.name),
      h("span", { class: "picker-about num" }, aboutOf(run)),
    );
  }

  /** Arrows go through the rows, from the search field too, in which Enter takes the first. */
  private move(event: KeyboardEvent): void {
    const rows = [...this.rows.querySelectorAll("button")];
    const at = rows.indexOf(document.activeElement as HTMLButtonElement);
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by !== undefined && event.target !== this.group) {
      event.preventDefault();
      const next = rows[at + by];
      if (next) next.focus();
      else if (by < 0) this.search.focus();
    } else if (event.key === "Enter" && event.target === this.search) {
      event.preventDefault();
      rows[0]?.click();
    }
  }
}

/** Runs of a group in which every word of a text is found. */
export function matching(runs: readonly RunName[], text: string, group: string | null): RunName[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return runs.filter((one) => {
    if (group !== null && one.group !== group) return false;
    const said = `${one.name} ${one.group ?? ""} ${one.status ?? ""}`.toLowerCase();
    // Ids are letters and figures by chance: only a good part of one, from its beginning, is meant.
    return words.every((word) => said.includes(word) || (word.length > 5 && one.id.startsWith(word)));
  });
}

function aboutOf({ group, status, time }: RunName): string {
  const when = time ? new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "";
  return [group, status, when].filter(Boolean).join(" · ");
}
