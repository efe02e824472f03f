// What a view lets people take away: its picture, its numbers, the Python that gets them, and all of them as a table.
import type { NumberTable, Take, View } from "../views/view";
import { h } from "./dom";

/** Rows that the table shows; a file holds all of them. */
const MOST_ROWS = 500;
/** Pixels of a saved picture per CSS pixel. */
const SCALE = 2;

type Result = string | undefined;

export class TakeMenu {
  readonly root: HTMLElement;
  private readonly said = h("span", { class: "take-said", role: "status" });
  private readonly list: HTMLDetailsElement;

  constructor(
    private readonly view: View,
    private readonly name: string,
  ) {
    const item = (label: string, title: string, act: (take: Take) => Result | Promise<Result>): HTMLElement =>
      h("button", { class: "take-item", type: "button", title, onclick: () => void this.act(act) }, label);
    this.list = h(
      "details",
      { class: "take" },
      h("summary", { class: "btn", "aria-label": `save or copy the ${name} view`, title: "save or copy" }, "save"),
      h(
        "div",
        { class: "take-menu", role: "group", "aria-label": `save or copy the ${name} view` },
        item("PNG", "the picture as pixels", savePng),
        item("SVG", "the picture as shapes and text", saveSvg),
        item("CSV", "the numbers of the picture", (take) => save(`${take.name}.csv`, csv(take.table()), "text/csv")),
        item("copy as Python", "code that gets the same array", async (take) => {
          const text = take.python();
          return (await copyText(text)) ? "copied" : showText("Python", text);
        }),
        item("table", "the numbers as a table", (take) => showTable(take)),
      ),
    );
    this.list.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.list.open) return;
      this.list.open = false;
      this.list.querySelector("summary")?.focus();
      event.preventDefault();
      event.stopPropagation();
    });
    this.list.addEventListener("focusout", (event) => {
      if (!this.list.contains(event.relatedTarget as Node | null)) this.list.open = false;
    });
    this.root = h("span", { class: "take-wrap" }, this.said, this.list);
  }

  private async act(act: (take: Take) => Result | Promise<Result>): Promise<void> {
    this.list.open = false;
    try {
      const take = this.view.take?.() ?? null;
      if (!take) {
        this.say(`nothing of the ${this.name} view is drawn yet`);
        return;
      }
      this.say((await act(take)) ?? "");
    } catch (error) {
      this.say(`that failed: ${error instanceof Error ? error.message : error}`);
    }
  }

  private say(text: string): void {
    this.said.textContent = text;
    if (text) setTimeout(() => this.said.textContent === text && this.say(""), 4000);
  }
}

function save(name: string, content: string | Blob, type: string): string {
  const blob = typeof content === "string" ? new Blob([content], { type: `${type};charset=utf-8` }) : content;
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return `saved ${name}`;
}

function picture(take: Take): string | null {
  const svg = take.svg();
  return svg && new XMLSerializer().serializeToString(svg);
}

/** What a view lets people take away, as plain data: for tests and for hosts. */
export function taken(take: Take | null): Record<string, unknown> | null {
  if (!take) return null;
  const { columns, rows } = take.table();
  return { name: take.name, title: take.title, svg: picture(take), columns, rows: [...rows()], python: take.python() };
}

function saveSvg(take: Take): Result {
  const text = picture(take);
  return text === null ? "there is no picture here" : save(`${take.name}.svg`, text, "image/svg+xml");
}

async function savePng(take: Take): Promise<Result> {
  const text = picture(take);
  if (text === null) return "there is no picture here";
  const image = new Image();
  // A data URL and not a blob's: pages of an opaque origin may not read the latter into a canvas.
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width * SCALE;
  canvas.height = image.height * SCALE;
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  return blob ? save(`${take.name}.png`, blob, "image/png") : "this browser cannot make so large a picture";
}

/** RFC 4180; a cell that a spreadsheet would take for a formula begins with a quote mark, as OWASP advises. */
export function csv({ columns, rows }: NumberTable): string {
  const cell = (value: string | number): string => {
    if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [columns.map(cell).join(",")];
  for (const row of rows()) lines.push(row.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** Copies text; false where the page may not. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { style: "position:fixed;opacity:0", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function dialog(name: string, ...children: (Node | string)[]): undefined {
  const box = h("dialog", { class: "help take-dialog", "aria-label": name });
  box.append(
    h("h2", {}, name),
    ...children,
    h("button", { class: "btn", type: "button", onclick: () => box.close() }, "Close"),
  );
  box.addEventListener("close", () => box.remove());
  (document.querySelector(".attnlog") ?? document.body).append(box);
  box.showModal();
}

function showText(name: string, text: string): undefined {
  const area = h("textarea", { class: "take-text", readonly: true, rows: 12, "aria-label": name });
  area.value = text;
  return dialog(name, area);
}

function showTable(take: Take): undefined {
  const { columns, rows, count } = take.table();
  const body = h("tbody");
  let shown = 0;
  for (const row of rows()) {
    if (shown++ >= MOST_ROWS) break;
    body.append(
      h(
        "tr",
        {},
        ...row.map((value) =>
          h(
            "td",
            { class: typeof value === "number" ? "num" : null },
            typeof value === "number" ? digits(value) : value,
          ),
        ),
      ),
    );
  }
  const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
  const more = count > MOST_ROWS ? `The first ${MOST_ROWS} of ${count} rows; a CSV file holds all of them.` : "";
  const scroller = h(
    "div",
    { class: "take-rows", tabindex: 0, role: "region", "aria-label": "numbers" },
    h("table", {}, h("thead", {}, head), body),
  );
  return dialog(take.title, scroller, h("p", { class: "dim" }, more));
}

const digits = (value: number): string =>
  Number.isNaN(value) ? "–" : Number.isInteger(value) ? String(value) : value.toPrecision(4);
