// Puts the style sheet into the page once, whoever mounts first.
import text from "./studio.css";

export function addStyle(page: Document): void {
  if (page.querySelector("style[data-attnlog]")) return;
  const element = page.createElement("style");
  element.dataset.attnlog = "";
  element.textContent = text;
  page.head.append(element);
}
