// Colours of text and axes, read from the style sheet once a drawing: what is drawn with them stays itself when it is saved.

export interface Ink {
  ink: string;
  dim: string;
  faint: string;
  line: string;
  accent: string;
  panel: string;
  canvas: string;
}

const NAMES = ["ink", "dim", "faint", "line", "accent", "panel", "canvas"] as const;

export function inkOf(element: Element): Ink {
  const style = getComputedStyle(element);
  const found = {} as Ink;
  for (const name of NAMES) found[name] = style.getPropertyValue(`--${name}`).trim() || "gray";
  return found;
}

export const FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
