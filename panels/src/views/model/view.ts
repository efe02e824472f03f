// The model view: all layers and heads of one kind as thumbnails.
import { NotRecordedError } from "../../decode/errors";
import type { PictureTable } from "../../decode/types";
import type { Style } from "../../draw/thumbnails";
import { kindName } from "../../session/kinds";
import { kindsOf } from "../../session/scene";
import type { Session } from "../../session/session";
import { chosenHeads } from "../../session/state";
import { h } from "../../ui/dom";
import { Frame, readyKey, type Shown, type View, type ViewType } from "../view";
import { noAttention } from "../why";
import { headFacts, notRecorded, standouts } from "./facts";
import { Grid, type Place } from "./grid";

class ModelView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("model", "model view");
  private readonly kinds = h("div", { class: "kinds", role: "group", "aria-label": "kinds of attention" });
  private readonly grid: Grid;
  private readonly facts = h("div", { "aria-live": "polite" });
  private readonly stand = h("div");
  private readonly scroll = h("div", { class: "grid-scroll" });
  private readonly observer: ResizeObserver;
  /** Null: whichever shows more at this size. */
  private style: Style | null = null;
  private shown: Shown | null = null;
  private table: PictureTable | null = null;
  private loaded = "";
  private drawn = "";
  private width = 0;
  private readonly toggle: HTMLElement;
  private turn = 0;

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    this.grid = new Grid({ point: (place) => this.tell(place), pick: (place) => this.pick(place) });
    this.scroll.append(this.grid.root);
    this.toggle = h(
      "button",
      {
        class: "btn",
        type: "button",
        title: "thumbnails as lines or as heat",
        onclick: () => {
          this.style = this.grid.style === "lines" ? "heat" : "lines";
          void this.render();
        },
      },
      "heat",
    );
    this.frame.tools.append(this.toggle);
    this.observer = new ResizeObserver(() => {
      if (this.frame.body.clientWidth !== this.width && this.table) void this.render();
    });
    this.observer.observe(this.frame.body);
  }

  private pick(place: Place): void {
    this.session.set({ layer: place.layer, heads: [place.head], view: "head" });
  }

  private tell(place: Place | null): void {
    if (!this.shown) return;
    const { scene, state } = this.shown;
    const told = place ?? { layer: state.layer, head: chosenHeads(state, scene)[0] ?? 0 };
    this.facts.replaceChildren(headFacts(scene, state.input, state.kind, told));
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { scene, state, session } = shown;
    const key = readyKey(state.step, state.input, state.kind);
    const data = `${session.run?.id} ${scene.commit.writer} ${scene.commit.n}`;
    const kind = kindsOf(scene, state.input).find((one) => one.kind === state.kind);
    const heads = new Set(kind?.layers.flatMap((one) => one.heads)).size;
    this.frame.title.replaceChildren(
      h("b", {}, "Model"),
      h("span", { class: "dim" }, kind ? `${kind.layers.length} × ${heads}` : ""),
    );
    this.frame.tools.style.visibility = kind ? "" : "hidden";
    if (!kind) {
      this.turn++;
      this.loaded = "";
      this.frame.say(noAttention(scene), key);
      const missing = notRecorded(scene);
      if (missing) this.frame.body.append(missing);
      return;
    }
    if (data === this.loaded) {
      if (this.table) void this.render();
      return;
    }
    this.frame.pending();
    this.loaded = data;
    this.table = null;
    const turn = ++this.turn;
    session.store?.pictures(scene.commit).then(
      (table) => {
        if (turn !== this.turn) return;
        this.table = table;
        this.drawn = "";
        void this.render();
      },
      (error) => {
        if (turn !== this.turn) return;
        this.loaded = "";
        const said =
          error instanceof NotRecordedError
            ? new NotRecordedError(`The pictures of step ${state.step} are not in this file.`, error.remedy)
            : error;
        this.frame.say(said, key);
      },
    );
  }

  private async render(): Promise<void> {
    const { scene, state, session, dark } = this.shown!;
    const kinds = kindsOf(scene, state.input);
    const kind = kinds.find((one) => one.kind === state.kind);
    if (!kind || !this.table) return;
    const { body } = this.frame;
    if (this.scroll.parentElement !== body) {
      body.replaceChildren(this.kinds, this.scroll, this.facts, this.stand);
      this.drawn = "";
    }
    this.width = body.clientWidth;
    const key = `${this.loaded} ${state.input} ${state.kind} ${this.style} ${dark} ${this.width}`;
    const chosen = state.heads ?? [];
    if (key !== this.drawn) {
      this.frame.pending();
      this.drawn = key;
      this.kinds.hidden = kinds.length < 2;
      this.kinds.replaceChildren(
        ...kinds.map((one) =>
          h(
            "button",
            {
              class: "btn",
              type: "button",
              "aria-pressed": String(one.kind === state.kind),
              onclick: () => session.set({ kind: one.kind, heads: null }),
            },
            kindName(one.kind),
          ),
        ),
      );
      const missing = notRecorded(scene);
      const stand = standouts(scene, state.input, state.kind, (place) => this.pick(place));
      this.stand.replaceChildren(stand, ...(missing ? [missing] : []));
      const alone = this.root.closest("[data-alone]") !== null;
      // Alone, words stand beside the grid, which then may use the height too.
      const room = alone
        ? { width: body.clientWidth - 366, height: body.clientHeight - this.kinds.offsetHeight - 24 }
        : { width: body.clientWidth - 26, height: Number.POSITIVE_INFINITY };
      if (!(await this.grid.draw(kind, this.table, state.input, room, this.style, dark))) return;
      if (key !== this.drawn) return;
      this.toggle.textContent = this.grid.style === "lines" ? "heat" : "lines";
    }
    const heads = chosen.length > 0 ? chosen : chosenHeads(state, scene);
    this.grid.mark(heads.map((head) => ({ layer: state.layer, head })));
    this.tell(null);
    this.frame.ready(readyKey(state.step, state.input, state.kind));
  }

  inspect(): unknown {
    const { shown, table } = this;
    return {
      picture: (layer: number, head: number) => {
        if (!table || !shown) return null;
        const code = table.kinds.indexOf(shown.state.kind);
        for (let row = 0; row < table.length; row++) {
          if (table.input[row] !== shown.state.input || table.kind[row] !== code) continue;
          if (table.layer[row] !== layer || table.head[row] !== head || table.call[row] !== 0) continue;
          return {
            rows: table.rows[row],
            columns: table.columns[row],
            codes: table.codes.subarray(table.offsets[row], table.offsets[row + 1]),
          };
        }
        return null;
      },
    };
  }

  destroy(): void {
    this.turn++;
    this.observer.disconnect();
  }
}

export const modelView: ViewType = {
  name: "model",
  title: "model",
  area: "left",
  order: 1,
  make: (session) => new ModelView(session),
};
