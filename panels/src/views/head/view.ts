// The head view: query tokens, lines of the chosen heads, key tokens.
import { NotRecordedError } from "../../decode/errors";
import type { WeightLayer } from "../../decode/types";
import { fromHex, headColour } from "../../draw/colour";
import { pixelRatio, prepare, put } from "../../draw/surface";
import { filterPair } from "../../session/pair";
import { keyAxis, kindName, queryAxis } from "../../session/kinds";
import { axisOf, findLayer, tokensOf } from "../../session/scene";
import type { Session } from "../../session/session";
import { moveLayer } from "../../session/move";
import { chosenHeads } from "../../session/state";
import { type HeadRows, headRows, meanLeftOut } from "../../session/weights";
import { h, weightText } from "../../ui/dom";
import { rowWindow } from "../../ui/rows";
import { isByteLevel, plain } from "../../ui/tokens";
import { Frame, readyKey, type Shown, type View, type ViewType } from "../view";
import { Chips } from "./chips";
import { type Beside, TokenColumn } from "./column";
import { drawLines, faintest, type HeadLines, type Layout, type Pointed, placesOf, topWeights } from "./lines";
import { TopTable } from "./table";
import { pointedWords, sparseWords } from "./words";
import { why } from "../why";

/** Weights below this are not worth a number beside their token. */
const FAINTEST_BESIDE = 0.0005;
const ROW = { least: 19, most: 34, usual: 22 };

class HeadView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("head", "head view");
  private readonly chips: Chips;
  private readonly left: TokenColumn;
  private readonly right: TokenColumn;
  private readonly base = h("canvas", { class: "lines", role: "img" });
  private readonly over = h("canvas", { class: "lines lines-over", "aria-hidden": "true" });
  private readonly stage = h("div", { class: "stage" }, this.base, this.over);
  private readonly scroller = h("div", { class: "head-scroll" });
  private readonly note = h("p", { class: "foot-note" });
  private readonly rowNote = h("p", { class: "foot-note row-note num" });
  private readonly table = new TopTable();
  private readonly observer: ResizeObserver;
  private shown: Shown | null = null;
  private loaded = "";
  private layer: WeightLayer | null = null;
  private decoded = new Map<number, HeadRows>();
  private drawn: HeadLines[] = [];
  private layout: Layout | null = null;
  private least = 0;
  private lines = 0;
  private hover: Pointed | null = null;
  private key = "";
  private turn = 0;
  private columnKey = "";

  constructor(session: Session) {
    this.root = this.frame.root;
    this.chips = new Chips((heads) => session.set({ heads }));
    this.left = new TokenColumn("left", "query tokens", {
      hover: (row) => this.point(row === null ? null : { side: "query", at: row }),
      choose: (row) => session.set({ query: this.layout?.queries[row] ?? null }),
    });
    this.right = new TokenColumn("right", "key tokens", {
      hover: (row) => this.point(row === null ? null : { side: "key", at: row }),
      choose: (row) => this.point({ side: "key", at: row }),
    });
    this.scroller.append(this.left.root, this.stage, this.right.root);
    this.scroller.addEventListener("scroll", () => requestAnimationFrame(() => this.draw(false)), { passive: true });
    const move = (by: number) => () => moveLayer(session, by);
    this.frame.tools.append(
      h(
        "button",
        {
          class: "btn",
          type: "button",
          "aria-label": "previous layer",
          title: "previous layer (↑)",
          onclick: move(-1),
        },
        "↑",
      ),
      h(
        "button",
        { class: "btn", type: "button", "aria-label": "next layer", title: "next layer (↓)", onclick: move(1) },
        "↓",
      ),
    );
    let width = 0;
    let height = 0;
    this.observer = new ResizeObserver(() => {
      const { clientWidth, clientHeight } = this.frame.body;
      if (clientWidth === width && clientHeight === height) return;
      width = clientWidth;
      height = clientHeight;
      if (this.layer) this.draw(true);
    });
    this.observer.observe(this.frame.body);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { state, scene, session } = shown;
    const key = readyKey(state.step, state.input, state.kind, state.layer);
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    const heads = entry?.heads ?? [];
    const chosen = chosenHeads(state, scene);
    this.chips.update(heads, chosen, shown.dark);
    const names = state.heads
      ? `head${chosen.length > 1 ? "s" : ""} ${chosen.join(", ")}`
      : `all ${heads.length} heads`;
    const kind = state.kind === "self" ? "" : ` · ${kindName(state.kind)}`;
    this.frame.title.replaceChildren(
      h("b", {}, entry ? `Layer ${state.layer}` : "Heads"),
      h("span", { class: "dim" }, entry ? `${names}${kind}` : ""),
    );
    this.frame.tools.style.visibility = entry ? "" : "hidden";
    const data = `${session.run?.id} ${scene.commit.writer} ${scene.commit.n} ${key}`;
    if (data === this.loaded) {
      if (this.layer) this.render(key);
      return;
    }
    this.frame.pending();
    this.loaded = data;
    this.layer = null;
    const turn = ++this.turn;
    const reading = entry && session.store?.weights(scene, entry);
    if (!reading) {
      this.frame.say(why(scene, state, "weights"), key);
      return;
    }
    this.root.classList.add("is-waiting");
    reading.then(
      (layer) => {
        if (turn !== this.turn) return;
        this.layer = layer;
        this.decoded.clear();
        this.key = "";
        this.render(key);
      },
      (error) => {
        if (turn !== this.turn) return;
        this.loaded = "";
        this.frame.say(error instanceof NotRecordedError ? absent(error, state.step) : error, key);
      },
    );
  }

  private rows(head: number): HeadRows | null {
    let rows = this.decoded.get(head) ?? null;
    if (!rows && this.layer) {
      rows = headRows(this.layer, head);
      if (rows) this.decoded.set(head, rows);
    }
    return rows;
  }

  private render(ready: string): void {
    const { state, scene, dark } = this.shown!;
    const { body } = this.frame;
    if (this.scroller.parentElement !== body) {
      body.replaceChildren(this.chips.root, this.scroller, this.note, this.rowNote, this.table.root);
      this.key = "";
    }
    const key = `${this.loaded} ${state.heads?.join() ?? "all"} ${state.pair} ${dark}`;
    if (key !== this.key) {
      this.frame.pending();
      this.key = key;
      this.drawn = chosenHeads(state, scene).flatMap((head) => {
        const rows = this.rows(head);
        return rows ? [{ rows, colour: fromHex(headColour(head, dark)) }] : [];
      });
      this.columns();
      this.words();
      this.draw(true);
    }
    this.point(null);
    this.frame.ready(ready);
  }

  /** Fills the token columns; only when tokens changed, so that a change of heads keeps the scroll position. */
  private columns(): void {
    const { state, scene } = this.shown!;
    const { queries, keys } = this.layer!;
    const left = axisOf(scene, state.input, queryAxis(state.kind));
    const right = axisOf(scene, state.input, keyAxis(state.kind));
    const kept = filterPair(state.pair, queries, keys, left, right);
    const tokens = { query: this.tokens("query"), key: this.tokens("key") };
    const byteLevel = isByteLevel(tokens.query) || isByteLevel(tokens.key);
    const place = placesOf(kept.keys, keys);
    this.layout = { ...kept, place, row: ROW.usual, top: 0, width: 0, height: 0, ratio: 1 };
    const { layout } = this;
    const labels = { queryLabels: left?.labels ?? null, keyLabels: right?.labels ?? null };
    this.table.update({ ...tokens, ...labels, byteLevel }, () => topWeights(this.drawn, layout, 24));
    const columnKey = `${scene.commit.inputs.path} ${state.input} ${state.kind} ${state.pair} ${queries} ${keys}`;
    if (columnKey === this.columnKey) return;
    this.columnKey = columnKey;
    const narrow = this.root.closest("[data-small]") !== null;
    this.hover = null;
    for (const [column, axis, shown, texts] of [
      [this.left, left, kept.queries, tokens.query],
      [this.right, right, kept.keys, tokens.key],
    ] as const) {
      column.tokens({
        shown,
        tokens: texts,
        labels: axis?.labels ?? null,
        ids: axis?.ids ?? null,
        special: axis?.special ?? null,
        generated: axis?.generated ?? null,
        byteLevel,
      });
      column.root.style.width = `${columnWidth(shown, texts, byteLevel, narrow ? 36 : 84)}px`;
    }
    this.scroller.scrollTop = 0;
  }

  /** What has to be known to read the picture: what was cut off, and what was not stored. */
  private words(): void {
    const { state, scene } = this.shown!;
    const layer = this.layer!;
    const left = axisOf(scene, state.input, queryAxis(state.kind));
    const right = axisOf(scene, state.input, keyAxis(state.kind));
    const said = [cutWords(left?.cut ?? 0, "query"), left === right ? "" : cutWords(right?.cut ?? 0, "key")];
    const calls = findLayer(scene, state.input, state.kind, state.layer)?.calls ?? 1;
    if (calls > 1) said.push(`This layer computed attention ${calls} times in one forward; the first is shown.`);
    const heads = this.drawn.map((one) => one.rows);
    if (layer.stored === "sparse") said.unshift(sparseWords(layer, meanLeftOut(layer, heads)));
    this.note.textContent = said.filter(Boolean).join(" ");
    this.rowNote.hidden = layer.stored !== "sparse";
  }

  private tokens(side: "query" | "key"): string[] {
    const { state, scene } = this.shown!;
    return side === "query"
      ? tokensOf(scene, state.input, queryAxis(state.kind), this.layer!.queries)
      : tokensOf(scene, state.input, keyAxis(state.kind), this.layer!.keys);
  }

  private draw(resized: boolean): void {
    const { layout, scroller } = this;
    if (!layout || !this.layer || !this.root.isConnected) return;
    const count = Math.max(layout.queries.length, layout.keys.length);
    if (resized) {
      const room = this.root.closest("[data-fit]") ? scroller.clientHeight - 8 : 0;
      layout.row =
        room > 0 ? Math.floor(Math.max(ROW.least, Math.min(ROW.most, room / Math.max(1, count)))) : ROW.usual;
    }
    const total = count * layout.row;
    this.left.show(rowWindow(layout.queries.length, layout.row, scroller.scrollTop, scroller.clientHeight), layout.row);
    this.right.show(rowWindow(layout.keys.length, layout.row, scroller.scrollTop, scroller.clientHeight), layout.row);
    const height = Math.min(total, Math.max(120, scroller.clientHeight));
    const top = Math.max(0, Math.min(scroller.scrollTop, total - height));
    const width = Math.max(60, this.stage.clientWidth);
    if (!resized && top === layout.top && layout.height === height && layout.width === width) return;
    Object.assign(layout, { top, width, height, ratio: pixelRatio() });
    this.stage.style.height = `${total}px`;
    this.base.style.top = this.over.style.top = `${top}px`;
    this.least = faintest(this.drawn, layout);
    const picture = drawLines(this.drawn, layout, this.least, null);
    this.lines = picture.lines;
    put(prepare(this.base, width, height), picture.pixels, picture.width, picture.height);
    this.base.setAttribute(
      "aria-label",
      `attention lines of ${this.drawn.length} heads between ${layout.queries.length} query and ${layout.keys.length} key tokens`,
    );
    this.point(this.hover);
  }

  /** Shows one token's lines alone, and their values beside the other column. */
  private point(hover: Pointed | null): void {
    this.hover = hover;
    const { layout, drawn } = this;
    if (!layout || !this.shown || !this.layer) return;
    const { state } = this.shown;
    const sparse = this.layer.stored === "sparse";
    const query = state.query === null ? -1 : layout.queries.indexOf(state.query);
    const chosen = query < 0 ? null : query;
    this.stage.classList.toggle("is-pointing", hover !== null);
    const beside = hover ? (row: number) => this.beside(hover, row) : null;
    const side = hover?.side;
    this.left.mark(side === "query" ? hover!.at : null, chosen, side === "key" ? beside : null);
    this.right.mark(side === "key" ? hover!.at : null, null, side === "query" ? beside : null);
    if (sparse) {
      const told = hover ?? (chosen === null ? null : { side: "query" as const, at: chosen });
      const heads = drawn.map((one) => one.rows);
      this.rowNote.textContent = this.rowNote.title = pointedWords(heads, layout, told);
    }
    if (!hover) return;
    const picture = drawLines(drawn, layout, sparse ? 0 : FAINTEST_BESIDE, hover);
    put(prepare(this.over, layout.width, layout.height), picture.pixels, picture.width, picture.height);
  }

  /** The greatest weight between the token pointed at and one of the other column, and a shade for each head. */
  private beside(hover: Pointed, row: number): Beside | null {
    const { queries, keys } = this.layout!;
    const { dark } = this.shown!;
    const i = queries[hover.side === "query" ? hover.at : row]!;
    const j = keys[hover.side === "query" ? row : hover.at]!;
    let most = -1;
    let colour = "";
    const shades = this.drawn.map(({ rows }) => {
      const weight = rows.at(i, j);
      const shade = headColour(rows.head, dark);
      if (weight !== null && weight > most) {
        most = weight;
        colour = shade;
      }
      return { colour: shade, alpha: weight ?? 0 };
    });
    // Of weights that are all stored the faint ones are not worth a number; of kept ones each is: others are not known.
    const least = this.layer!.stored === "sparse" ? 0 : FAINTEST_BESIDE;
    if (most < least) return null;
    return { text: weightText(most), colour, shades: this.drawn.length > 1 ? shades : [] };
  }

  inspect(): unknown {
    return {
      heads: this.drawn.map((one) => one.rows.head),
      stored: this.layer?.stored ?? null,
      weights: (head: number) => this.drawn.find((one) => one.rows.head === head)?.rows.arrays() ?? null,
      queries: this.layout?.queries ?? [],
      keys: this.layout?.keys ?? [],
      shape: this.layer ? [this.layer.queries, this.layer.keys] : null,
      tokens: this.layer ? { query: this.tokens("query"), key: this.tokens("key") } : null,
      lines: this.lines,
      faintest: this.least,
      pointing: this.hover,
    };
  }

  destroy(): void {
    this.turn++;
    this.observer.disconnect();
  }
}

function cutWords(cut: number, side: string): string {
  return cut ? `${cut} more ${side} tokens were cut off when this was recorded (max_tokens).` : "";
}

function absent(error: NotRecordedError, step: number | null): NotRecordedError {
  return new NotRecordedError(`The weights of step ${step} are not in this file.`, error.remedy);
}

let ruler: CanvasRenderingContext2D | null = null;

/** Room for the longest token, within bounds, and for a value beside it. */
function columnWidth(shown: number[], tokens: string[], byteLevel: boolean, beside: number): number {
  ruler ??= document.createElement("canvas").getContext("2d");
  if (!ruler) return 140;
  ruler.font = "13px system-ui, sans-serif";
  let most = 0;
  for (const at of shown.slice(0, 2000))
    most = Math.max(most, ruler.measureText(plain(tokens[at]!, byteLevel, 24)).width);
  return Math.round(Math.min(150, most) + 16 + beside);
}

export const headView: ViewType = {
  name: "head",
  title: "head",
  area: "centre",
  order: 0,
  make: (session) => new HeadView(session),
};
