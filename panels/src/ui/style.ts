// Puts the style sheet into the page once, whoever mounts first.
import { css, NEGATIVE, POSITIVE } from "../draw/colour";
import head from "../views/head/head.css";
import matrix from "../views/matrix/matrix.css";
import model from "../views/model/model.css";
import neuron from "../views/neuron/neuron.css";
import timeline from "../views/timeline/timeline.css";
import tokens from "../views/tokens/tokens.css";
import base from "./base.css";
import header from "./header.css";
import hint from "./hint.css";
import narrow from "./narrow.css";
import panels from "./panels.css";
import picker from "./picker.css";

export function addStyle(page: Document): void {
  if (page.querySelector("style[data-attnlog]")) return;
  const element = page.createElement("style");
  element.dataset.attnlog = "";
  // Narrow rules come last: they override what views say.
  const views = [model, head, matrix, neuron, timeline, tokens];
  const signs = (theme: "light" | "dark"): string =>
    `--positive:${css(POSITIVE[theme])};--negative:${css(NEGATIVE[theme])}`;
  const colours = `.attnlog{${signs("light")}}.attnlog[data-theme="dark"]{${signs("dark")}}`;
  element.textContent = [colours, base, header, panels, picker, hint, ...views, narrow].join("");
  page.head.append(element);
}
