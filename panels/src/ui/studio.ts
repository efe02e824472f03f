// The studio: header, tabs and views in one element, drawn from one session.
import { AttnlogError } from "../decode/errors";
import type { Session } from "../session/session";
import { VIEWS } from "../views/registry";
import { settle } from "../session/state";
import type { Shown, View, ViewType } from "../views/view";
import { h } from "./dom";
import { Header } from "./header";
import { helpDialog, press } from "./keys";
import { notice } from "./notice";
import { ProgressBar } from "./progress";
import { addStyle } from "./style";
import { TakeMenu, taken } from "./take";

/** Option: the view that is looked at stands alone on a wide page. */
const ALONE = "studio.alone";

/** Narrower containers show one view at a time: three columns need 980 pixels. */
const NARROW = 1000;

export interface StudioOptions {
  theme?: "light" | "dark";
  /** The studio is the whole page: views share the window's height. */
  fill?: boolean;
  /** Called after each change, with the state as a hash. */
  changed?(): void;
}

export class Studio {
  private readonly header: Header;
  private readonly views: { type: ViewType; view: View }[];
  private readonly tabs = h("nav", { class: "tabs", "aria-label": "views" });
  private readonly main = h("main", { class: "views" });
  private readonly message = h("div", { class: "message" });
  private readonly leftOut = h("p", { class: "left-out" });
  private readonly help = helpDialog();
  private readonly observer: ResizeObserver;
  private readonly release: (() => void)[] = [];
  private dark = false;
  private readonly expand: HTMLElement[] = [];
  /** Buttons between views that share a place. */
  private readonly swap: HTMLElement[] = [];
  private drawing = 0;
  private measured = false;

  constructor(
    readonly root: HTMLElement,
    readonly session: Session,
    private readonly options: StudioOptions,
  ) {
    addStyle(root.ownerDocument);
    root.classList.add("attnlog");
    root.toggleAttribute("data-fit", options.fill === true);
    root.dataset.attnlogState = "loading";
    this.header = new Header(session, { theme: () => this.toggleTheme(), help: () => this.toggleHelp() });
    this.views = VIEWS.map((type) => ({ type, view: type.make(session) }));
    for (const { type, view } of this.views) {
      view.root.dataset.area = type.area;
      const open = (): void => this.open(type.name);
      this.tabs.append(
        h("button", { class: "btn", type: "button", "data-name": type.name, onclick: open }, type.title),
      );
      const expand = h(
        "button",
        { class: "btn icon expand", type: "button", "data-name": type.name, onclick: open },
        "⤢",
      );
      const bar = view.root.querySelector(".panel-bar");
      const take = view.take ? [new TakeMenu(view, type.title).root] : [];
      bar?.append(...this.switches(type), ...take, expand);
      this.expand.push(expand);
      this.main.append(view.root);
    }
    this.leftOut.textContent = session.source.leftOut ?? "";
    this.leftOut.hidden = !session.source.leftOut;
    const progress = new ProgressBar(session.progress);
    this.release.push(progress.release);
    root.replaceChildren(progress.root, this.header.root, this.tabs, this.message, this.main, this.leftOut, this.help);
    this.theme(options.theme ?? remembered() ?? preferred());
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(root);
    this.measure();
    this.release.push(session.subscribe(() => this.update()));
    this.release.push(session.list.subscribe(() => this.header.update()));
    const onKey = (event: KeyboardEvent): void => {
      // A dialog has its own keys, wherever the focus is: nothing behind it may change unseen.
      if (event.defaultPrevented || !session.scene || root.querySelector("dialog[open]")) return;
      if (event.key === "Escape" && this.alone !== null) {
        session.choose({ [ALONE]: null });
        this.update();
        return;
      }
      const act = {
        help: () => this.toggleHelp(),
        compare: () => this.header.compare.toggle(),
        find: () => this.find(),
        play: () => this.views.find(({ view }) => view.play && !view.root.hidden)?.view.play?.(),
      };
      if (press(event, session, act)) event.preventDefault();
    };
    // The whole page is ours when we fill it; elsewhere keys count only inside our element.
    const target: HTMLElement | Document = options.fill ? root.ownerDocument : root;
    target.addEventListener("keydown", onKey as EventListener);
    this.release.push(() => target.removeEventListener("keydown", onKey as EventListener));
    if (!options.fill) root.tabIndex = -1;
    this.update();
  }

  /** Buttons to the views that share this one's place. */
  private switches({ area, name }: ViewType): HTMLElement[] {
    const others = VIEWS.filter((one) => one.area === area);
    if (others.length < 2) return [];
    const buttons = others.map((one) => {
      const open = (): void => this.bring(one);
      const pressed = String(one.name === name);
      return h(
        "button",
        { class: "btn", type: "button", "data-name": one.name, "aria-pressed": pressed, onclick: open },
        one.title,
      );
    });
    this.swap.push(...buttons.filter((one) => one.dataset.name !== name));
    return [h("span", { class: "swap", role: "group", "aria-label": "views in this place" }, ...buttons)];
  }

  /** The view that a wide page shows alone; narrow ones show one at a time anyway. */
  private get alone(): string | null {
    const { options, view } = this.session.state;
    const wide = !this.root.hasAttribute("data-narrow");
    return wide && options[ALONE] === "1" && this.views.some((one) => one.type.name === view) ? view : null;
  }

  /** Puts a view where it shares its place with others. */
  private bring({ area, name }: ViewType): void {
    const options = { ...this.session.state.options, [`studio.${area}`]: name };
    this.session.set({ view: name, options });
  }

  /** The view that stands in front of those of the same place. */
  private front(area: ViewType["area"], seen: string): string {
    const there = VIEWS.filter((one) => one.area === area).map((one) => one.name);
    const wanted = this.session.state.options[`studio.${area}`] ?? "";
    return [seen, wanted].find((name) => there.includes(name)) ?? there[0]!;
  }

  /** Shows a view: on narrow pages by its tab, on wide ones alone, and again beside the others. */
  private open(name: string): void {
    if (!this.root.hasAttribute("data-narrow")) {
      const options: Record<string, string> = { ...this.session.state.options, [ALONE]: "1" };
      if (this.alone === name) delete options[ALONE];
      this.session.set({ view: name, options });
      return;
    }
    this.session.set({ view: name });
  }

  /** Of each view the one control that opens it carries its contract's mark: a tab, else the button where it can be seen. */
  private markControls(narrow: boolean): void {
    const hidden = new Set(this.views.filter(({ view }) => view.root.hidden).map(({ type }) => type.name));
    const mark = (controls: Iterable<Element>, on: (control: HTMLElement, name: string) => boolean): void => {
      for (const control of controls as Iterable<HTMLElement>) {
        const name = control.dataset.name ?? "";
        if (on(control, name)) control.setAttribute("data-open-view", name);
        else control.removeAttribute("data-open-view");
      }
    };
    const inSight = (control: HTMLElement): boolean =>
      !hidden.has(control.closest<HTMLElement>("[data-view]")?.dataset.view ?? "");
    mark(this.tabs.children, () => narrow);
    mark(this.expand, (_, name) => !narrow && !hidden.has(name));
    mark(this.swap, (control, name) => !narrow && hidden.has(name) && inSight(control));
  }

  /** Brings a view that can look for tokens into sight, and its search field. */
  private find(): void {
    const { state } = this.session;
    if (!this.views.some(({ type, view }) => type.name === state.view && view.find)) this.session.set({ view: "head" });
    this.views.find(({ view }) => view.find && !view.root.hidden)?.view.find?.();
  }

  private toggleHelp(): void {
    if (this.help.open) this.help.close();
    else this.help.showModal();
  }

  private toggleTheme(): void {
    this.theme(this.dark ? "light" : "dark");
    try {
      localStorage.setItem("attnlog-theme", this.dark ? "dark" : "light");
    } catch {
      // Opaque origins have no storage; the choice lasts as long as the page.
    }
    this.update();
  }

  private theme(name: "light" | "dark"): void {
    this.dark = name === "dark";
    this.root.dataset.theme = name;
  }

  private measure(): void {
    const width = this.root.clientWidth;
    const narrow = width > 0 && width <= NARROW;
    this.root.toggleAttribute("data-small", width > 0 && width <= 620);
    if (narrow === this.root.hasAttribute("data-narrow") && this.measured) return;
    this.measured = true;
    this.root.toggleAttribute("data-narrow", narrow);
    this.update();
  }

  private update(): void {
    const { session, root } = this;
    const { phase, state } = session;
    this.header.update();
    const view = this.views.some((one) => one.type.name === state.view) ? state.view : "head";
    root.dataset.show = view;
    for (const tab of this.tabs.children) {
      tab.setAttribute("aria-pressed", String((tab as HTMLElement).dataset.name === view));
    }
    root.toggleAttribute("data-alone", this.alone !== null);
    for (const button of this.expand) {
      const alone = button.dataset.name === this.alone;
      button.setAttribute("aria-pressed", String(alone));
      button.title = alone ? "show all views (Esc)" : "show this view alone";
      button.setAttribute("aria-label", `${button.dataset.name}: ${button.title}`);
    }
    const blocked = phase === "error" || phase === "empty" || (phase === "loading" && !session.record);
    this.main.hidden = this.tabs.hidden = blocked;
    this.message.hidden = !blocked;
    if (blocked) this.message.replaceChildren(this.words());
    if (!session.scene) for (const { view } of this.views) delete view.root.dataset.ready;
    if (phase === "ready" && session.scene) this.draw(view);
    root.dataset.attnlogState = phase;
    this.options.changed?.();
  }

  /** Views draw in their order; on narrow pages only the one that is seen. */
  private draw(seen: string): void {
    const { root } = this;
    const turn = ++this.drawing;
    const narrow = root.hasAttribute("data-narrow");
    for (const { type, view } of this.views) {
      const one = narrow || this.alone !== null ? seen : this.front(type.area, seen);
      const hidden = type.name !== one;
      view.root.hidden = hidden;
      if (hidden) delete view.root.dataset.ready;
    }
    this.markControls(narrow);
    const shown = this.shown();
    if (!shown) {
      for (const { view } of this.views) {
        delete view.root.dataset.ready;
        view.root.classList.add("is-waiting");
      }
      return;
    }
    const order = [...this.views].filter(({ view }) => !view.root.hidden).sort((a, b) => a.type.order - b.type.order);
    for (const { view } of order) {
      if (turn !== this.drawing) return;
      view.update(shown);
    }
  }

  /** What views are to draw: A, or B as if it had been opened; null while B is being read. */
  private shown(): Shown | null {
    const { session, dark } = this;
    const { state, compared } = session;
    const run = session.run?.id ?? "";
    const a: Shown = { session, run, store: session.store!, scene: session.scene!, state, other: null, dark };
    if (!state.compare || state.side === "a" || session.comparedFailure) return a;
    if (!compared) return null;
    if (state.side === "diff") return { ...a, other: compared };
    const { scene, store, input } = compared;
    const wanted = { ...state, step: scene.commit.step, input };
    return { session, run: compared.run.id, store, scene, state: settle(wanted, scene), other: null, dark };
  }

  private words(): HTMLElement {
    const { session } = this;
    if (session.phase === "loading")
      return h("p", { class: "loading", role: "status" }, `Reading the ${session.source.noun ?? "run"}…`);
    if (session.phase === "empty" && !session.error) {
      return h(
        "div",
        { class: "notice notice-quiet" },
        h("p", {}, `Nothing has been recorded in this ${session.source.noun ?? "run"} yet.`),
        h(
          "p",
          { class: "remedy" },
          session.source.poll
            ? "The first step appears here as soon as it is written."
            : "Open it again after the first evaluation or checkpoint.",
        ),
      );
    }
    const box = notice(session.error);
    if (!(session.error instanceof AttnlogError))
      box.append(h("p", { class: "remedy" }, "Reload the page; if it stays, please report it."));
    return box;
  }

  inspect(): Record<string, unknown> {
    const { session } = this;
    const numbers = Object.fromEntries(
      this.views.map(({ type, view }) => [type.name, { ...view.inspect(), taken: () => taken(view.take?.() ?? null) }]),
    );
    return { state: { ...session.state }, run: session.run, steps: session.commits.map((one) => one.step), ...numbers };
  }

  destroy(): void {
    for (const release of this.release) release();
    this.observer.disconnect();
    this.header.destroy();
    for (const { view } of this.views) view.destroy();
    this.session.close();
    this.root.replaceChildren();
    this.root.classList.remove("attnlog");
    for (const name of ["attnlogState", "theme", "narrow", "small", "fit", "show", "alone"])
      delete this.root.dataset[name];
  }
}

function remembered(): "light" | "dark" | null {
  try {
    const name = localStorage.getItem("attnlog-theme");
    return name === "light" || name === "dark" ? name : null;
  } catch {
    return null;
  }
}

const preferred = (): "light" | "dark" =>
  globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ? "dark" : "light";
