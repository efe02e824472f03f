// The head view: query tokens, lines of the chosen heads, key tokens.
import { fromHex, NEGATIVE, POSITIVE } from "../../draw/colour";
import type { Ink } from "../../draw/ink";
import { findLayer } from "../../session/scene";
import type { Pointed as PointedAt } from "../../session/pointing";
import type { Session } from "../../session/session";
import { itemAt } from "../../session/shape/items";
import type { Shaped } from "../../session/shape/shape";
import { moveLayer } from "../../session/move";
import { chosenHeads } from "../../session/state";
import { h } from "../../ui/dom";
import type { Part } from "../../ui/paper";
import { isByteLevel } from "../../ui/tokens";
import { leastOf, WeightControls } from "../layer/controls";
import { LayerReader, wantedOf } from "../layer/reader";
import { TopTable } from "../layer/table";
import { takeLayer } from "../layer/take";
import { topWeights } from "../layer/top";
import { layerTitle, layerWords, pointedWords } from "../layer/words";
import { Frame, readyKey, type Shown, type Take, type View, type ViewType } from "../view";
import { Chips } from "./chips";
import type { HeadLines, Pointed } from "./lines";
import { findItems, Search } from "./search";
import { colourOf, Stage } from "./stage";
import { headPicture, WIDTH } from "./svg";

class HeadView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("head", "head view");
  private readonly chips: Chips;
  private readonly stage: Stage;
  private readonly controls: WeightControls;
  private readonly search: Search;
  private readonly note = h("p", { class: "foot-note" });
  private readonly rowNote = h("p", { class: "foot-note row-note num" });
  private readonly table = new TopTable();
  private readonly observer: ResizeObserver;
  private readonly reader: LayerReader;
  private shown: Shown | null = null;
  private shaped: Shaped | null = null;
  private drawn: HeadLines[] = [];
  private byteLevel = false;
  private key = "";

  constructor(private readonly session: Session) {
    this.root = this.frame.root;
    this.chips = new Chips((heads) => session.set({ heads }));
    this.controls = new WeightControls(session);
    this.stage = new Stage({
      choose: (query) => session.set({ query }),
      pointed: () => this.tellPointed(),
      hover: (place) => session.pointing.point(this, place && this.placeOf(place)),
    });
    session.pointing.follow(this, (at) => this.follow(at));
    this.reader = new LayerReader({
      ready: () => {
        this.key = "";
        this.render();
      },
      fail: (error) => this.frame.say(error, this.ready()),
    });
    this.search = new Search({
      look: (text) => findItems(this.shaped?.queries ?? [], this.shaped?.keys ?? [], this.byteLevel, text),
      show: ({ queries, keys }) => this.stage.mark(queries, keys),
      go: (place) => this.stage.go(place),
    });
    this.frame.controls.append(...this.controls.elements, this.search.root);
    const mover = (by: number, name: string, sign: string): HTMLElement =>
      h(
        "button",
        {
          class: "btn",
          type: "button",
          "aria-label": `${name} layer`,
          title: `${name} layer (${sign})`,
          onclick: () => moveLayer(session, by),
        },
        sign,
      );
    this.frame.tools.append(mover(-1, "previous", "↑"), mover(1, "next", "↓"));
    let width = 0;
    let height = 0;
    this.observer = new ResizeObserver(() => {
      const { clientWidth, clientHeight } = this.frame.body;
      if (clientWidth === width && clientHeight === height) return;
      width = clientWidth;
      height = clientHeight;
      if (this.shaped) this.stage.draw(true);
    });
    this.observer.observe(this.frame.body);
  }

  private ready(): string {
    const { state } = this.shown!;
    return readyKey(state.step, state.input, state.kind, state.layer);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { state, scene } = shown;
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    const heads = entry?.heads ?? [];
    const chosen = chosenHeads(state, scene);
    this.chips.update(heads, chosen, shown.dark);
    this.frame.title.replaceChildren(...layerTitle(shown, "Heads"));
    this.frame.tools.style.visibility = entry ? "" : "hidden";
    this.frame.controls.hidden = !entry;
    if (this.reader.update(shown)) {
      this.render();
      return;
    }
    this.frame.pending();
    this.shaped = null;
    this.root.classList.add("is-waiting");
  }

  find(): void {
    this.search.focus();
  }

  private render(): void {
    const shown = this.shown!;
    const { state, dark } = shown;
    const { body } = this.frame;
    if (this.stage.root.parentElement !== body) {
      body.replaceChildren(this.chips.root, this.stage.root, this.note, this.rowNote, this.table.root);
      this.key = "";
    }
    const wanted = wantedOf(shown);
    const least = leastOf(shown);
    const key = `${this.reader.source} ${JSON.stringify(wanted)} ${least} ${dark}`;
    if (key !== this.key) {
      this.frame.pending();
      this.key = key;
      const shaped = this.reader.shape(shown);
      this.shaped = shaped;
      this.drawn = shaped.heads.map((rows) => this.coloured(rows, shaped.signed, dark));
      const { a, b } = this.reader;
      this.byteLevel = !wanted.words && isByteLevel([...shaped.queries, ...shaped.keys].map((one) => one.text));
      const { byteLevel } = this;
      const { heads: _, mean: __, normalise: ___, ...items } = wanted;
      const columns = `${shown.scene.commit.inputs.path} ${shown.other?.scene.commit.inputs.path} ${state.input} ${shown.other?.input} ${state.kind} ${shaped.queries.length} ${shaped.keys.length} ${JSON.stringify(items)}`;
      const chosen = state.query === null ? -1 : itemAt(shaped.queries, state.query);
      const compared = shown.other !== null;
      this.stage.show(
        { shaped, lines: this.drawn, byteLevel, compared, dark, least, chosen: chosen < 0 ? null : chosen },
        columns,
      );
      const layout = { queries: shaped.queries.length, keys: shaped.keys.length };
      this.table.update({ ...shaped, byteLevel }, () => topWeights(shaped.heads, layout, 24, least));
      this.controls.update(shown, [a, b], this.stage.least);
      this.note.textContent = layerWords(shown, a!, shaped);
      this.rowNote.hidden = !shaped.sparse;
      this.search.again();
    } else this.choose(state.query);
    this.session.pointing.point(this, null);
    this.follow(this.session.pointing.of(this));
    this.frame.ready(this.ready());
  }

  /** Where a token stands in the text that is shown; one that only B has stands nowhere there. */
  private placeOf({ side, at }: Pointed): PointedAt {
    const position = this.shaped?.[side === "query" ? "queries" : "keys"][at]?.a?.start ?? null;
    return { query: null, key: null, [side]: position };
  }

  /** Shows what another view points at: the query's lines, or the key's where no query is. */
  private follow(at: PointedAt | null): void {
    const { shaped } = this;
    if (!shaped || this.root.hidden) return;
    const place = (items: Shaped["queries"], position: number | null | undefined): number =>
      position === null || position === undefined ? -1 : itemAt(items, position);
    const [query, key] = [place(shaped.queries, at?.query), place(shaped.keys, at?.key)];
    if (query >= 0) this.stage.point({ side: "query", at: query }, key < 0 ? null : key);
    else this.stage.point(key < 0 ? null : { side: "key", at: key });
  }

  private choose(query: number | null): void {
    const chosen = query === null ? -1 : itemAt(this.shaped!.queries, query);
    this.stage.choose(chosen < 0 ? null : chosen);
  }

  private coloured(rows: Shaped["heads"][number], signed: boolean, dark: boolean): HeadLines {
    const theme = dark ? "dark" : "light";
    if (signed) return { rows, colour: POSITIVE[theme], negative: NEGATIVE[theme] };
    return { rows, colour: fromHex(colourOf(rows.head, dark)) };
  }

  private tellPointed(): void {
    const { shaped, shown } = this;
    if (!shaped?.sparse || !shown) return;
    const { query } = shown.state;
    const chosen = query === null ? -1 : itemAt(shaped.queries, query);
    const told = this.stage.hover ?? (chosen < 0 ? null : { side: "query" as const, at: chosen });
    this.rowNote.textContent = this.rowNote.title = pointedWords(shaped.heads, shaped, told);
  }

  take(): Take | null {
    const { shown, shaped, drawn } = this;
    if (!shown || !shaped) return null;
    const least = leastOf(shown) || this.stage.least;
    const { byteLevel } = this;
    const picture = (ink: Ink): Part & { width: number } => ({
      ...headPicture(shaped, drawn, { byteLevel, least, ink, stage: this.stage }),
      width: WIDTH,
    });
    return takeLayer("head", shown, this.reader, shaped, least, picture, this.root);
  }

  inspect(): Record<string, unknown> {
    const { a } = this.reader;
    return {
      heads: this.drawn.map((one) => one.rows.head),
      stored: a?.stored ?? null,
      signed: this.shaped?.signed ?? false,
      weights: (head: number) => this.drawn.find((one) => one.rows.head === head)?.rows.arrays() ?? null,
      shape: a ? [a.queries, a.keys] : null,
      ...this.stage.inspect(),
    };
  }

  destroy(): void {
    this.session.pointing.forget(this);
    this.reader.close();
    this.observer.disconnect();
  }
}

export const headView: ViewType = {
  name: "head",
  title: "head",
  area: "centre",
  order: 0,
  make: (session) => new HeadView(session),
};
