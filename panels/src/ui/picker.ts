// Chooses one of many runs: a button that says which, and a dialog to find another by typing or by its experiment.
import type { RunName } from "../host/source";
import type { Session } from "../session/session";
import { fillSelect, h } from "./dom";

/** More runs than this are looked through in a dialog, not in a drop-down. */
export const MANY = 30;
/** Rows shown at a time; of more the reader is told to narrow them down. */
const SHOWN = 200;

interface Row {
  item: HTMLElement;
  button: HTMLButtonElement;
  name: HTMLElement;
  about: HTMLElement;
}

export class RunPicker {
  readonly root: HTMLElement;
  private readonly name = h("span", { class: "picker-name" });
  private readonly button: HTMLButtonElement;
  private readonly dialog: HTMLDialogElement;
  private readonly search: HTMLInputElement;
  private readonly group = h("select", { "aria-label": "runs of experiment" });
  private readonly rows = h("ul", { class: "picker-rows" });
  private readonly said = h("p", { class: "picker-said", role: "status" });
  private readonly noun: string;
  /** Rows by their run: one that has the focus keeps it while the list is read. */
  private readonly made = new Map<string, Row>();
  private chosen = "";

  constructor(
    private readonly session: Session,
    private readonly label: string,
    private readonly choose: (run: string) => void,
    /** A run that cannot be chosen here. */
    private readonly except: () => string | null = () => null,
  ) {
    const { noun } = session.source;
    this.noun = noun ?? "run";
    this.search = h("input", {
      type: "search",
      placeholder: noun ? "name or key" : "name, experiment, status or id",
      "aria-label": `find ${/^[aeiou]/.test(this.noun) ? "an" : "a"} ${this.noun}`,
    });
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
    this.place(found.slice(0, SHOWN));
    const all = `${among.length} ${this.noun}${among.length === 1 ? "" : "s"}`;
    const count = found.length === among.length ? all : `${found.length} of ${all}`;
    const rest = found.length > SHOWN ? `, the first ${SHOWN} are shown` : "";
    const failed = list.error ? " · the list could not be read to its end" : "";
    this.said.textContent = `${count}${rest}${list.busy ? " · reading the list…" : failed}`;
  }

  /** Puts the rows of these runs into their order, and moves none that stands where it should. */
  private place(shown: readonly RunName[]): void {
    const focused = [...this.made.values()].find(({ button }) => button === document.activeElement);
    const wanted = new Set(shown.map((one) => one.id));
    for (const [id, { item }] of this.made) {
      if (wanted.has(id)) continue;
      item.remove();
      this.made.delete(id);
    }
    let next = this.rows.firstElementChild;
    for (const run of shown) {
      const { item } = this.row(run);
      if (item === next) next = item.nextElementSibling;
      else this.rows.insertBefore(item, next);
    }
    if (!focused || focused.button === document.activeElement) return;
    // What moves loses the focus, and so does what is gone.
    if (focused.item.isConnected) focused.button.focus({ preventScroll: true });
    else this.search.focus();
  }

  private row(run: RunName): Row {
    const row = this.made.get(run.id) ?? this.make(run.id);
    const about = aboutOf(run);
    if (row.name.textContent !== run.name) row.name.textContent = run.name;
    if (row.about.textContent !== about) row.about.textContent = about;
    if (run.id === this.chosen) row.button.setAttribute("aria-current", "true");
    else row.button.removeAttribute("aria-current");
    return row;
  }

  private make(id: string): Row {
    const take = (): void => {
      this.dialog.close();
      this.choose(id);
    };
    const [name, about] = [h("span", { class: "picker-name" }), h("span", { class: "picker-about num" })];
    const button = h("button", { class: "picker-row", type: "button", "data-run": id, onclick: take }, name, about);
    const row = { item: h("li", {}, button), button, name, about };
    this.made.set(id, row);
    return row;
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
