// Colours of text and axes, read from the style sheet once a drawing: what is drawn with them stays itself when it is saved.

const NAMES = ["ink", "dim", "faint", "line", "accent", "panel", "canvas"] as const;

export type Palette = Record<(typeof NAMES)[number], string>;

export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const found = {} as Palette;
  for (const name of NAMES) found[name] = style.getPropertyValue(`--${name}`).trim() || "gray";
  return found;
}
