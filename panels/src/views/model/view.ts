// The model view: all layers and heads of one kind as thumbnails.
import { NotRecordedError } from "../../decode/errors";
import type { Metric, PictureTable } from "../../decode/types";
import { inkOf } from "../../draw/ink";
import type { Style } from "../../draw/thumbnails";
import { keyAxis, kindName, queryAxis } from "../../session/kinds";
import { hasPair, PAIR_NAMES } from "../../session/pair";
import { axisOf, findLayer, type KindEntry, kindsOf } from "../../session/scene";
import type { Drifts } from "../../session/drift";
import type { Compared } from "../../session/other";
import type { Session } from "../../session/session";
import { chosenHeads } from "../../session/state";
import { h, s } from "../../ui/dom";
import { Hint } from "../../ui/hint";
import { sheet } from "../../ui/paper";
import { runsOf } from "../python";
import { definedMetrics } from "../timeline/series";
import { sidesName, sidesWords } from "../caption";
import { Frame, readyKey, type Shown, type Take, type View, type ViewType } from "../view";
import { noAttention } from "../why";
import { ModelControls } from "./controls";
import { headFacts, headHint, notRecorded, standouts } from "./facts";
import { differences, driftRank, Drifting, driftWords, movers } from "./drifting";
import { Grid } from "./grid";
import { KindTabs } from "./kinds";
import { flat, layered } from "./layout";
import { leastOf, type Place, rank, type Ranked, type Ranking, reaching, sortOf, toggled } from "./order";
import { pairedPictures, type Pictures, recordedPictures } from "./pictures";
import { differencePython, headsTable, modelPython } from "./take";

const STYLE = "model.style";

/** What is on screen, worked out from the state once a drawing. */
interface Content {
  kind: KindEntry;
  defined: Metric[];
  drifts: Drifts | null;
  sort: Ranking | null;
  least: number;
  /** Heads in their order. */
  heads: Ranked[];
  pictures: Pictures;
  /** The pair filter is at work, and whether cells on the border hold tokens of both texts. */
  paired: boolean;
  mixed: boolean;
}

class ModelView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("model", "model view");
  private readonly kinds: KindTabs;
  private readonly grid: Grid;
  private readonly hint = new Hint();
  private readonly controls: ModelControls;
  private readonly facts = h("div", { "aria-live": "polite" });
  private readonly stand = h("div");
  private readonly note = h("p", { class: "foot-note" });
  private readonly scroll = h("div", { class: "grid-scroll" });
  private readonly observer: ResizeObserver;
  private readonly toggle: HTMLElement;
  private readonly drifting = new Drifting(() => void this.render());
  private shown: Shown | null = null;
  private content: Content | null = null;
  private table: PictureTable | null = null;
  private loaded = "";
  private drawn = "";
  /** Whether what `drawn` says is on screen. */
  private done = false;
  private width = 0;
  private turn = 0;

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    this.grid = new Grid({
      point: (place, at) => this.point(place, at),
      pick: (place) => this.pick(place),
      toggle: (place) => session.set(toggled(session.state, place)),
    });
    this.scroll.append(this.grid.root);
    this.kinds = new KindTabs(this.scroll, (kind) => session.set({ kind, heads: null }));
    this.controls = new ModelControls(this.frame.controls, session);
    this.toggle = h(
      "button",
      {
        class: "btn",
        type: "button",
        title: "thumbnails as lines or as heat",
        onclick: () => session.choose({ [STYLE]: this.grid.style === "lines" ? "heat" : "lines" }),
      },
      "heat",
    );
    this.frame.tools.append(this.toggle);
    this.root.append(this.hint.root);
    this.observer = new ResizeObserver(() => {
      if (this.frame.body.clientWidth !== this.width && this.table) void this.render();
    });
    this.observer.observe(this.frame.body);
  }

  private pick(place: Place): void {
    this.session.set({ layer: place.layer, heads: [place.head], view: "head" });
  }

  private point(place: Place | null, at: { x: number; y: number } | null): void {
    const { shown } = this;
    if (!shown) return;
    this.tell(place);
    const moved = place ? driftWords(this.content?.drifts ?? null, place) : "";
    if (place && at)
      this.hint.show(headHint(shown.scene, shown.state.input, shown.state.kind, place, moved), at.x, at.y);
    else this.hint.hide();
  }

  private tell(place: Place | null): void {
    if (!this.shown) return;
    const { scene, state } = this.shown;
    const told = place ?? { layer: state.layer, head: chosenHeads(state, scene)[0] ?? 0 };
    this.facts.replaceChildren(headFacts(scene, state.input, state.kind, told));
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { scene, state } = shown;
    const key = readyKey(state.step, state.input, state.kind);
    const data = `${shown.run} ${scene.commit.writer} ${scene.commit.n}`;
    const kind = kindsOf(scene, state.input).find((one) => one.kind === state.kind);
    const heads = new Set(kind?.layers.flatMap((one) => one.heads)).size;
    this.frame.title.replaceChildren(
      h("b", {}, "Model"),
      h("span", { class: "dim" }, kind ? `${kind.layers.length} × ${heads}${shown.other ? ", B − A" : ""}` : ""),
    );
    this.frame.tools.style.visibility = kind ? "" : "hidden";
    this.frame.controls.hidden = !kind;
    if (!kind) {
      this.turn++;
      this.loaded = "";
      this.content = null;
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
    this.table = this.content = null;
    const turn = ++this.turn;
    shown.store.pictures(scene.commit).then(
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
            ? new NotRecordedError(
                `The pictures of step ${state.step} are not in ${shown.store.carrier}.`,
                error.remedy,
              )
            : error;
        this.frame.say(said, key);
      },
    );
  }

  private contentOf(shown: Shown, kind: KindEntry, table: PictureTable): Content {
    const { scene, state } = shown;
    const defined = definedMetrics(scene, state.input, state.kind);
    const axes = {
      query: axisOf(scene, state.input, queryAxis(state.kind)),
      key: axisOf(scene, state.input, keyAxis(state.kind)),
    };
    const [first] = kind.layers;
    const tokens = { queries: first?.queries ?? 0, keys: first?.keys ?? 0 };
    const recorded = recordedPictures(table, state.input, state.kind);
    const paired = state.pair !== "all" && hasPair(axes.query) && hasPair(axes.key);
    const pair = paired ? state.pair : "all";
    const { pictures, mixed } = pairedPictures(recorded, pair, tokens, axes);
    const drifts = this.drifting.update(shown, pair);
    const sort = sortOf(state, drifts ? ["drift", ...defined] : defined);
    const heads = sort
      ? sort === "drift"
        ? driftRank(kind, drifts!)
        : rank(kind, scene, sort)
      : kind.layers.flatMap(({ layer, heads }) => heads.map((head) => ({ layer, head, value: Number.NaN })));
    const least = sort ? leastOf(state) : 0;
    const common = { kind, defined, drifts, sort, least, heads, paired };
    return drifts ? { ...common, pictures: differences(drifts), mixed: false } : { ...common, pictures, mixed };
  }

  private async render(): Promise<void> {
    const { shown, table } = this;
    const { scene, state, dark } = shown!;
    const kinds = kindsOf(scene, state.input);
    const kind = kinds.find((one) => one.kind === state.kind);
    if (!shown || !kind || !table) return;
    const { body } = this.frame;
    if (this.scroll.parentElement !== body) {
      body.replaceChildren(this.kinds.root, this.scroll, this.note, this.facts, this.stand);
      this.drawn = "";
    }
    this.width = body.clientWidth;
    const { options } = state;
    const style = options[STYLE] === "lines" || options[STYLE] === "heat" ? (options[STYLE] as Style) : null;
    const content = this.contentOf(shown, kind, table);
    const { sort } = content;
    const paired = content.paired ? state.pair : "";
    const { drifts } = content;
    const moved = drifts
      ? `${shown.other!.scene.commit.n} ${shown.other!.input} ${drifts.heads.size} ${drifts.done}`
      : "";
    const key = [this.loaded, state.input, state.kind, style, sort, paired, dark, this.width, moved].join(" ");
    this.content = content;
    this.showControls(content);
    if (key === this.drawn) {
      // What is still being drawn marks, once it is done, what is chosen by then.
      if (!this.done) return;
    } else {
      this.frame.pending();
      this.drawn = key;
      this.done = false;
      this.hint.hide();
      this.kinds.update(
        kinds.map((one) => one.kind),
        state.kind,
      );
      const missing = notRecorded(scene);
      const pick = (place: Place): void => this.pick(place);
      const stand = drifts ? movers(kind, drifts, pick) : standouts(scene, state.input, state.kind, pick);
      this.stand.replaceChildren(stand, ...(missing ? [missing] : []));
      this.note.textContent = drifts ? SIGNED : content.mixed ? MIXED : "";
      const layers = kind.layers.map((one) => one.layer);
      const layout = sort ? flat(content.heads, layers, this.room()) : layered(kind, this.room());
      const order = sort ? `, ranked by ${sort}` : "";
      const how = "arrows move, Enter opens a head, Space chooses it with others of its layer";
      this.grid.describe(
        `${kindName(kind.kind)} attention, ${content.heads.length} heads of ${layers.length} layers${order}; ${how}`,
      );
      if (!(await this.grid.draw(layout, content.pictures, style, dark))) return;
      if (key !== this.drawn) return;
      this.done = true;
      this.toggle.textContent = this.grid.style === "lines" ? "heat" : "lines";
    }
    // Thumbnails come layer by layer; who waits for the view waits for all of them.
    if (!drifts || drifts.done) this.finish(sort);
  }

  /** Marks what is chosen and dims what is weak, as it is by now. */
  private finish(sort: Ranking | null): void {
    const { heads: all, least } = this.content!;
    const strong = new Set(reaching(all, least).map((one) => `${one.layer} ${one.head}`));
    this.grid.dim((place) => !strong.has(`${place.layer} ${place.head}`));
    const { state: now, scene: there } = this.shown!;
    const heads = chosenHeads(now, there);
    this.grid.mark(
      heads.map((head) => ({ layer: now.layer, head })),
      now.heads === null && sort === null,
    );
    this.tell(null);
    this.frame.ready(readyKey(now.step, now.input, now.kind));
  }

  /** Alone, words stand beside the grid, which then may use the height too. */
  private room(): { width: number; height: number } {
    const { body } = this.frame;
    return this.root.closest("[data-alone]")
      ? { width: body.clientWidth - 366, height: body.clientHeight - this.kinds.root.offsetHeight - 24 }
      : { width: body.clientWidth - 26, height: Number.POSITIVE_INFINITY };
  }

  private showControls({ sort, least, heads, defined, drifts }: Content): void {
    const values = heads.map((one) => one.value).filter((value) => !Number.isNaN(value));
    const count = reaching(heads, least).length;
    this.controls.update(
      drifts ? ["drift", ...defined] : defined,
      sort && { metric: sort, most: Math.max(0, ...values), least, count, of: heads.length },
    );
  }

  take(): Take | null {
    const { shown, content } = this;
    if (!shown || !content || !this.root.dataset.ready) return null;
    const { state, scene } = shown;
    const { kind, sort, least, defined, paired } = content;
    const by = sort ? `, ranked by ${sort}` : "";
    const pair = paired ? `, ${PAIR_NAMES[state.pair]}` : "";
    const title = `Attention of ${kindName(kind.kind)}, all heads${by}${pair}, ${sidesWords(shown)}`;
    const stored = (what: "attention" | "sparse"): number[] =>
      kind.layers.filter((one) => one.rows.some((row) => scene.index[what][row]! >= 0)).map((one) => one.layer);
    const dense = stored("attention");
    const segment = (letter: string | undefined): number => (letter === "b" ? 1 : 0);
    const pairs = paired
      ? {
          axes: [queryAxis(state.kind), keyAxis(state.kind)] as [string, string],
          segments: [segment(state.pair[0]), segment(state.pair[1])] as [number, number],
        }
      : null;
    return {
      name: `model-${sidesName(shown)}-${state.kind.replaceAll(">", "-")}${sort ? `-${sort}` : ""}`,
      title,
      svg: () => {
        const { parts, width, height } = this.grid.shapes();
        const node = s("g", { "font-size": 10.5 }, ...parts);
        return sheet(title, width, [{ node, height }], inkOf(this.root));
      },
      table: () => headsTable(scene, state.input, state.kind, content.heads, defined, content.drifts),
      python: () => {
        const { run, other: otherRun } = runsOf(shown);
        const { other } = shown;
        const place = { run, step: state.step ?? 0, input: state.input, kind: state.kind };
        if (other) {
          const there = { step: other.scene.commit.step, input: other.input };
          const named = { run: otherRun, ...there };
          const both = dense.filter((layer) => denseIn(other, state.kind, layer));
          return differencePython({ ...place, other: named, layers: both, pair: pairs });
        }
        return modelPython({
          run,
          step: state.step ?? 0,
          input: state.input,
          kind: state.kind,
          defined,
          sort: sort === "drift" ? null : sort,
          least,
          layers: dense.length > 0 ? dense : stored("sparse"),
          stored: dense.length > 0 ? "dense" : stored("sparse").length > 0 ? "sparse" : null,
          pair: pairs,
        });
      },
    };
  }

  inspect(): Record<string, unknown> {
    const { content } = this;
    return {
      picture: (layer: number, head: number) => content?.pictures(layer, head) ?? null,
      heads: content?.heads ?? [],
      drift: (layer: number, head: number) => content?.drifts?.get(layer, head)?.drift ?? null,
      sort: content?.sort ?? null,
      least: content?.least ?? 0,
      kept: content ? reaching(content.heads, content.least).length : 0,
      style: this.grid.style,
    };
  }

  destroy(): void {
    this.turn++;
    this.drifting.close();
    this.observer.disconnect();
  }
}

const MIXED =
  "Pictures of long inputs are pooled: their cells at the border between the two texts hold tokens of both.";

/** Whether B stores all weights of a layer. */
function denseIn({ scene, input }: Compared, kind: string, layer: number): boolean {
  const rows = findLayer(scene, input, kind, layer)?.rows ?? [];
  return rows.some((row) => scene.index.attention[row]! >= 0);
}

const SIGNED =
  "Blue: greater in B. Orange: greater in A. Hatched: not known. Colours reach to the greatest difference there is.";

export const modelView: ViewType = {
  name: "model",
  title: "model",
  area: "left",
  order: 1,
  make: (session) => new ModelView(session),
};
