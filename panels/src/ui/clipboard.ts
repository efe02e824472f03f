// Tables as text for the clipboard, and the button that puts them there.
import type { NumberTable } from "../views/view";
import { h } from "./dom";
import { copyText } from "./take";

/** One cell on one line: what would break the table is written as in a string of a program. */
function cellText(value: string | number): string {
  if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
  return value
    .replaceAll("\\", "\\\\")
    .replaceAll("\t", "\\t")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\0", "\\0");
}

/** Rows of tab-separated cells, the names of the columns first; what is not known is left empty. */
export function tabSeparated(table: NumberTable): string {
  const lines = [table.columns.map(cellText).join("\t")];
  for (const row of table.rows()) lines.push(row.map(cellText).join("\t"));
  return `${lines.join("\n")}\n`;
}

/** A button that copies a table and says whether it could. */
export function copyButton(label: string, table: () => NumberTable | null): HTMLButtonElement {
  const title = "copy the numbers as a table, separated by tabs";
  const button = h("button", { class: "btn copy", type: "button", title, "aria-label": label }, "copy");
  const status = h("span", { class: "visually-hidden", role: "status" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  button.addEventListener("click", async () => {
    const found = table();
    if (!found) return;
    const done = await copyText(tabSeparated(found));
    // The older way of copying takes the focus with it.
    if (document.activeElement !== button) button.focus({ preventScroll: true });
    button.firstChild!.textContent = done ? "copied" : "refused";
    status.textContent = done ? `${found.count} rows copied` : "the page may not use the clipboard";
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.firstChild!.textContent = "copy";
      status.textContent = "";
    }, 2000);
  });
  button.append(status);
  return button;
}
