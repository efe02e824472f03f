// Tokens as a text in reading order, each shaded by its value; lines out of sight do not exist where there are many.
import { h, s } from "../../ui/dom";
import type { Ink } from "../../draw/ink";
import { box, words } from "../../ui/paper";
import { Rows } from "../../ui/rows";
import { labelText, tokenText, tokenTitle } from "../../ui/tokens";
import { breakLines, gapBefore, type Placed } from "./lines";
import { inText, type Names, nameOf } from "./names";
import { shadeOf } from "./shade";

const LINE = 25;
const HIGH = 21;
const PADDING = 4;
/** Up to this many tokens all lines exist: the browser's own search then finds them. */
const ALL_BELOW = 200;
/** Tokens of a picture; of longer texts it holds what is in sight. */
export const MOST_IN_PICTURE = 256;

export interface TextData {
  names: Names;
  /** Signed strength from −1 to 1. */
  shade(at: number): number;
  /** The value in words, for titles and readers. */
  say(at: number): string;
  chosen: number | null;
  dark: boolean;
}

let count = 0;
let ruler: CanvasRenderingContext2D | null = null;

export class TokenText {
  readonly root: HTMLElement;
  private readonly id = `attnlog-text-${count++}`;
  private readonly rows: Rows;
  private data: TextData | null = null;
  private lines: Placed[][] = [];
  private lineOf: number[] = [];
  private laid = "";
  private widths: number[] = [];
  private of: Names | null = null;
  private sight = { first: 0, end: 0 };

  constructor(
    label: string,
    private readonly choose: (at: number) => void,
  ) {
    const list = h("div", { role: "none" });
    this.root = h("div", { class: "token-text", role: "listbox", tabindex: 0, "aria-label": label }, list);
    this.rows = new Rows(list, (line) => this.make(line));
    this.root.addEventListener("scroll", () => requestAnimationFrame(() => this.window()), { passive: true });
    this.root.addEventListener("click", (event) => {
      const element = (event.target as Element).closest?.("[data-at]") as HTMLElement | null;
      if (element) this.choose(Number(element.dataset.at));
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const { data } = this;
    if (!data || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = data.names.tokens.length - 1;
    const at = data.chosen ?? 0;
    const forward = data.names.fromRight ? "ArrowLeft" : "ArrowRight";
    const back = data.names.fromRight ? "ArrowRight" : "ArrowLeft";
    const next = {
      [forward]: at + 1,
      [back]: at - 1,
      ArrowDown: this.beside(at, 1),
      ArrowUp: this.beside(at, -1),
      Home: 0,
      End: last,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const to = Math.max(0, Math.min(last, next));
    if (to !== at) this.choose(to);
  }

  /** The token above or below one. */
  private beside(at: number, by: number): number {
    const line = this.lineOf[at] ?? 0;
    const { left = 0 } = this.lines[line]?.find((one) => one.at === at) ?? {};
    const other = this.lines[line + by];
    if (!other) return at;
    return other.reduce((best, one) => (Math.abs(one.left - left) < Math.abs(best.left - left) ? one : best)).at;
  }

  /** Shows tokens in a room of this width. Long texts scroll by themselves, so that what follows stays near. */
  show(data: TextData, width: number): void {
    const moved = this.data?.chosen !== data.chosen || this.data.names !== data.names;
    this.data = data;
    this.root.dir = data.names.fromRight ? "rtl" : "ltr";
    this.root.classList.toggle("is-long", data.names.tokens.length > ALL_BELOW);
    this.lay(Math.max(80, width - (data.names.tokens.length > ALL_BELOW ? 14 : 0)));
    this.rows.clear();
    this.sight = { first: 0, end: 0 };
    this.window();
    if (moved) this.reveal();
    this.mark();
  }

  private lay(room: number): void {
    const { names } = this.data!;
    if (this.of !== names) {
      ruler ??= document.createElement("canvas").getContext("2d");
      if (ruler) ruler.font = getComputedStyle(this.root).font || "13px sans-serif";
      this.widths = names.tokens.map(
        (_, at) => Math.ceil(ruler?.measureText(nameOf(names, at, 60)).width ?? 40) + 2 * PADDING + 1,
      );
      this.of = names;
      this.laid = "";
    }
    const key = `${room}`;
    if (key === this.laid) return;
    this.laid = key;
    this.lines = breakLines(
      this.widths,
      names.tokens.map((token) => gapBefore(token, names.marking)),
      room,
    );
    this.lineOf = [];
    for (const [line, tokens] of this.lines.entries()) for (const { at } of tokens) this.lineOf[at] = line;
  }

  private window(): void {
    const { data, root, lines } = this;
    if (!data) return;
    const all = data.names.tokens.length <= ALL_BELOW;
    const first = all ? 0 : Math.max(0, Math.floor(root.scrollTop / LINE) - 4);
    const end = all
      ? lines.length
      : Math.min(lines.length, Math.ceil((root.scrollTop + (root.clientHeight || 190)) / LINE) + 4);
    if (first === this.sight.first && end === this.sight.end) return;
    this.sight = { first, end: Math.max(first, end) };
    this.rows.show(this.sight, LINE, lines.length);
    this.mark();
  }

  private make(line: number): HTMLElement {
    return h("div", { class: "token-line", role: "none" }, ...(this.lines[line] ?? []).map((one) => this.token(one)));
  }

  private token({ at, left, width }: Placed): HTMLElement {
    const { names, shade, say, chosen, dark } = this.data!;
    const { fill, opacity, strong } = shadeOf(shade(at), dark);
    const label = names.labels?.[at];
    const colour =
      opacity > 0 ? `background:color-mix(in srgb,${fill} ${(opacity * 100).toFixed(1)}%,transparent)` : "";
    const element = h(
      "span",
      {
        class: "shaded",
        id: `${this.id}-${at}`,
        role: "option",
        "data-at": at,
        "aria-selected": String(at === chosen),
        "aria-label": `${label === undefined ? nameOf(names, at) : labelText(label)}, ${say(at)}`,
        title: `${tokenTitle(names.tokens[at] ?? "", at, names.ids?.[at], label)}\n${say(at)}`,
        style: `inset-inline-start:${left}px;width:${width}px;${colour}`,
      },
      tokenText(inText(names, at), names.byteLevel),
    );
    if (names.special?.[at]) element.classList.add("is-special");
    if (names.generated?.[at]) element.classList.add("is-generated");
    if (strong) element.classList.add("is-strong");
    return element;
  }

  private mark(): void {
    const there = this.option();
    if (there) this.root.setAttribute("aria-activedescendant", there.id);
    else this.root.removeAttribute("aria-activedescendant");
  }

  /** Brings the chosen token into sight: within a long text, and on the page for who moves through it by keys. */
  private reveal(): void {
    const { root } = this;
    const top = (this.lineOf[this.data?.chosen ?? 0] ?? 0) * LINE;
    if (top < root.scrollTop || top + LINE > root.scrollTop + root.clientHeight) {
      root.scrollTop = Math.max(0, top - root.clientHeight / 2);
      this.window();
    }
    if (root.contains(document.activeElement)) this.option()?.scrollIntoView({ block: "nearest" });
  }

  private option(): HTMLElement | null {
    const chosen = this.data?.chosen ?? null;
    return chosen === null ? null : this.root.querySelector(`[data-at="${chosen}"]`);
  }

  /** Its shapes with the upper left corner at 0, 0; of a long text what is in sight. */
  picture(ink: Ink, width: number): { node: SVGElement; height: number } {
    const node = s("g");
    const { data } = this;
    if (!data) return { node, height: 0 };
    const { names } = data;
    const all = names.tokens.length <= MOST_IN_PICTURE;
    const shown = all ? this.lines : this.lines.slice(this.sight.first, this.sight.end);
    shown.forEach((tokens, line) => {
      for (const { at, left, width: wide } of tokens) {
        const x = names.fromRight ? width - left - wide : left;
        const { fill, opacity } = shadeOf(data.shade(at), ink.dark);
        if (opacity > 0) node.append(box(x, line * LINE, wide, HIGH, fill, opacity));
        if (at === data.chosen) {
          const frame = box(x + 0.5, line * LINE + 0.5, wide - 1, HIGH - 1, "none");
          frame.setAttribute("stroke", ink.accent);
          node.append(frame);
        }
        const special = names.special?.[at] && opacity < 0.12;
        node.append(
          words(x + wide / 2, line * LINE + HIGH / 2, nameOf(names, at), special ? ink.dim : ink.ink, {
            "text-anchor": "middle",
            "font-size": 13,
            ...(names.generated?.[at] ? { "text-decoration": "underline" } : {}),
          }),
        );
      }
    });
    return { node, height: shown.length * LINE };
  }
}
