// Colours of paper, text, axes and signs, read from the style sheet once a drawing: what is drawn with them stays itself when it is saved.

const NAMES = ["ink", "dim", "faint", "line", "accent", "panel", "canvas", "positive", "negative"] as const;

export type Ink = Record<(typeof NAMES)[number], string> & { dark: boolean };

export function inkOf(element: Element): Ink {
  const style = getComputedStyle(element);
  const colours = NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim() || "gray"]);
  const dark = element.closest<HTMLElement>("[data-theme]")?.dataset.theme === "dark";
  return { ...(Object.fromEntries(colours) as Record<(typeof NAMES)[number], string>), dark };
}
