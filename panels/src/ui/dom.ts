// Makes DOM elements; text is always a text node, whatever a token holds.

type Child = Node | string | null | undefined | false;
type Props = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

/** An element: `on…` are listeners, `class` and other names attributes; null and false leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function s(
  tag: string,
  props: Record<string, string | number> = {},
  ...children: (Node | string)[]
): SVGElement {
  const element = document.createElementNS(SVG, tag) as SVGElement;
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A drop-down whose options are replaced only when they change, so that an open list stays open. */
export function fillSelect(select: HTMLSelectElement, options: { value: string; name: string }[], value: string): void {
  const wanted = JSON.stringify(options);
  if (select.dataset.options !== wanted) {
    select.dataset.options = wanted;
    select.replaceChildren(...options.map((one) => h("option", { value: one.value, title: one.name }, one.name)));
  }
  select.value = value;
}

/** A number as people read it: three digits, no leading zero for what lies in [0, 1). */
export function short(value: number): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value > 0 ? "<.001" : value.toExponential(0);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.replace("-", "−");
}

/** A weight in [0, 1] with two digits: .71; one that is there is never told as nothing. */
export function weightText(weight: number): string {
  if (weight > 0 && weight < 0.0005) return "<.001";
  if (weight >= 0.995) return "1.0";
  return weight < 0.005 ? weight.toFixed(3).slice(1) : weight.toFixed(2).slice(1);
}

/** A difference of weights with its sign: +.12, −.05. */
export function signedText(weight: number): string {
  return weight === 0 ? ".00" : `${weight > 0 ? "+" : "−"}${weightText(Math.abs(weight))}`;
}

/** A share as a percentage of two digits: 3.1 %, 99 %. */
export function percent(share: number): string {
  const value = share * 100;
  const text = value >= 9.95 || value === 0 ? value.toFixed(0) : value < 0.1 ? "< 0.1" : value.toFixed(1);
  return `${text}\u00a0%`;
}
