// The grid of thumbnails: one canvas for all heads, labels beside it, a box round what is chosen or pointed at.
import type { PictureTable } from "../../decode/types";
import { layerColour } from "../../draw/colour";
import { pixelRatio, prepare } from "../../draw/surface";
import { type Style, thumbnail } from "../../draw/thumbnails";
import { kindName } from "../../session/kinds";
import type { KindEntry } from "../../session/scene";
import { h } from "../../ui/dom";

const LABEL = 26;
const TOP = 18;
const GAP = 3;
const SIZE = { least: 16, most: 84 };
/** Milliseconds of drawing before the page gets its turn. */
const SLICE = 40;

export interface Place {
  layer: number;
  head: number;
}

export class Grid {
  readonly root: HTMLElement;
  private readonly canvas = h("canvas", { "aria-hidden": "true" });
  private readonly labels = h("div", { class: "grid-labels", "aria-hidden": "true" });
  private readonly marks = h("div", { "aria-hidden": "true" });
  private readonly cursor = h("div", { class: "cell-box cell-cursor" });
  private kind: KindEntry | null = null;
  private columns: number[] = [];
  private size = 24;
  private at: Place | null = null;
  private turn = 0;
  /** How thumbnails are drawn now. */
  style: Style = "lines";

  constructor(private readonly events: { point(place: Place | null): void; pick(place: Place): void }) {
    this.root = h(
      "div",
      { class: "grid", tabindex: 0, role: "application" },
      this.labels,
      this.canvas,
      this.marks,
      this.cursor,
    );
    this.cursor.hidden = true;
    this.canvas.addEventListener("pointermove", (event) => this.move(this.place(event)));
    this.canvas.addEventListener("pointerleave", () => this.move(null));
    this.canvas.addEventListener("click", (event) => {
      const place = this.place(event);
      if (place) events.pick(place);
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("blur", () => this.move(null));
  }

  private place(event: MouseEvent): Place | null {
    const layer = this.kind?.layers[Math.floor(event.offsetY / (this.size + GAP))];
    const head = this.columns[Math.floor(event.offsetX / (this.size + GAP))];
    return layer && head !== undefined && layer.heads.includes(head) ? { layer: layer.layer, head } : null;
  }

  private move(place: Place | null): void {
    if (place?.layer === this.at?.layer && place?.head === this.at?.head) return;
    this.at = place;
    this.cursor.hidden = place === null;
    if (place) this.box(this.cursor, place);
    this.root.style.cursor = place ? "pointer" : "";
    this.events.point(place);
  }

  private key(event: KeyboardEvent): void {
    const { kind, columns } = this;
    if (!kind) return;
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (step) {
      const from = this.at ?? { layer: kind.layers[0]!.layer, head: columns[0]! };
      const row = kind.layers.findIndex((one) => one.layer === from.layer) + (this.at ? step[0]! : 0);
      const column = columns.indexOf(from.head) + (this.at ? step[1]! : 0);
      const layer = kind.layers[Math.max(0, Math.min(kind.layers.length - 1, row))]!;
      const head = columns[Math.max(0, Math.min(columns.length - 1, column))]!;
      if (layer.heads.includes(head)) this.move({ layer: layer.layer, head });
    } else if ((event.key === "Enter" || event.key === " ") && this.at) this.events.pick(this.at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private box(element: HTMLElement, place: Place): void {
    const row = this.kind?.layers.findIndex((one) => one.layer === place.layer) ?? 0;
    const column = this.columns.indexOf(place.head);
    element.style.left = `${LABEL + column * (this.size + GAP)}px`;
    element.style.top = `${TOP + row * (this.size + GAP)}px`;
    element.style.width = element.style.height = `${this.size}px`;
  }

  /** Boxes round the chosen heads; one round the row when all of a layer's are chosen. */
  mark(places: Place[]): void {
    const first = places[0];
    const layer = this.kind?.layers.find((one) => one.layer === first?.layer);
    if (first && layer && places.length > 1 && places.length === layer.heads.length) {
      const element = h("div", { class: "cell-box cell-chosen" });
      this.box(element, { layer: layer.layer, head: layer.heads[0]! });
      element.style.width = `${layer.heads.length * (this.size + GAP) - GAP}px`;
      this.marks.replaceChildren(element);
      return;
    }
    this.marks.replaceChildren(
      ...places.map((place) => {
        const element = h("div", { class: "cell-box cell-chosen" });
        this.box(element, place);
        return element;
      }),
    );
  }

  /** Draws all heads of a kind; resolves true when done, false when another drawing took over. */
  async draw(
    kind: KindEntry,
    table: PictureTable,
    input: number,
    room: { width: number; height: number },
    wanted: Style | null,
    dark: boolean,
  ): Promise<boolean> {
    const turn = ++this.turn;
    this.kind = kind;
    this.columns = [...new Set(kind.layers.flatMap((one) => one.heads))].sort((a, b) => a - b);
    const { columns } = this;
    const tall = Math.floor((room.height - TOP) / Math.max(1, kind.layers.length)) - GAP;
    const wide = Math.floor((room.width - LABEL) / Math.max(1, columns.length)) - GAP;
    this.size = Math.max(SIZE.least, Math.min(SIZE.most, wide, tall));
    const cells = Math.max(1, ...table.rows);
    // Lines closer than a pixel and a half only make a flat patch; heat still shows their pattern.
    const style = wanted ?? (this.size * pixelRatio() >= cells * 1.5 ? "lines" : "heat");
    this.style = style;
    const width = columns.length * (this.size + GAP);
    const height = kind.layers.length * (this.size + GAP);
    const ratio = pixelRatio();
    const surface = prepare(this.canvas, width, height);
    this.canvas.style.left = `${LABEL}px`;
    this.canvas.style.top = `${TOP}px`;
    this.root.style.height = `${TOP + height}px`;
    this.root.style.minWidth = `${LABEL + width}px`;
    this.root.setAttribute(
      "aria-label",
      `${kindName(kind.kind)} attention, ${kind.layers.length} layers of ${columns.length} heads; arrows move, Enter opens a head`,
    );
    this.label(kind);
    const rows = rowsOf(table, input, kind.kind);
    const pixels = Math.round(this.size * ratio);
    const background = getComputedStyle(this.root).getPropertyValue("--canvas");
    const edge = getComputedStyle(this.root).getPropertyValue("--faint");
    let since = performance.now();
    for (const [r, layer] of kind.layers.entries()) {
      const colour = layerColour(r, kind.layers.length, dark);
      for (const head of layer.heads) {
        const x = Math.round(columns.indexOf(head) * (this.size + GAP) * ratio);
        const y = Math.round(r * (this.size + GAP) * ratio);
        const row = rows.get(`${layer.layer} ${head}`);
        if (row !== undefined) {
          const codes = table.codes.subarray(table.offsets[row]!, table.offsets[row + 1]!);
          const picture = { rows: table.rows[row]!, columns: table.columns[row]!, codes };
          surface.context.putImageData(
            new ImageData(thumbnail(picture, pixels, colour, style, ratio), pixels, pixels),
            x,
            y,
          );
        }
        surface.context.globalCompositeOperation = "destination-over";
        surface.context.fillStyle = background;
        surface.context.fillRect(x, y, pixels, pixels);
        surface.context.globalCompositeOperation = "source-over";
        surface.context.strokeStyle = edge;
        surface.context.lineWidth = 1;
        surface.context.strokeRect(x + 0.5, y + 0.5, pixels - 1, pixels - 1);
      }
      if (performance.now() - since > SLICE) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        if (turn !== this.turn) return false;
        since = performance.now();
      }
    }
    return true;
  }

  private label(kind: KindEntry): void {
    // Labels thin out where cells are narrower than their numbers.
    const every = this.size < 18 ? 2 : 1;
    const place = (text: number, left: number, top: number, className: string): HTMLElement =>
      h("span", { class: className, style: `left:${left}px;top:${top}px;--size:${this.size}px` }, String(text));
    this.labels.replaceChildren(
      ...this.columns
        .filter((_, i) => i % every === 0)
        .map((head) => place(head, LABEL + this.columns.indexOf(head) * (this.size + GAP), 0, "label-head")),
      ...kind.layers.map((layer, i) => place(layer.layer, 0, TOP + i * (this.size + GAP), "label-layer")),
    );
  }
}

function rowsOf(table: PictureTable, input: number, kind: string): Map<string, number> {
  const code = table.kinds.indexOf(kind);
  const rows = new Map<string, number>();
  for (let row = 0; row < table.length; row++) {
    if (table.input[row] !== input || table.kind[row] !== code || table.call[row] !== 0) continue;
    rows.set(`${table.layer[row]} ${table.head[row]}`, row);
  }
  return rows;
}
