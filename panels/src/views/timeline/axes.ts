// What lines and heat share: the axis of steps under them, and the marks of the shown, the compared and the best step.
import { ticks, tickText } from "../../draw/axis";
import type { Ink } from "../../draw/ink";
import { s } from "../../ui/dom";

/** Steps that carry a mark. */
export interface Marks {
  /** The step that is shown; A where two are compared. */
  step: number;
  /** The step it is compared with. */
  other: number | null;
}

export const text = (x: number, y: number, fill: string, said: string, anchor = "start"): SVGElement =>
  s("text", { x, y, fill, "text-anchor": anchor, "font-size": 10.5 }, said);

/** Round numbers along an axis whose length is steps themselves. */
export function stepTicks(
  steps: readonly number[],
  width: number,
  x: (step: number) => number,
  top: number,
  ink: Ink,
): Node[] {
  const low = steps[0] ?? 0;
  const high = steps[steps.length - 1] ?? low;
  const parts: Node[] = [];
  for (const tick of ticks(low, high, Math.max(2, Math.floor(width / 90)))) {
    if (tick < low || tick > high) continue;
    parts.push(
      s("line", { x1: x(tick), x2: x(tick), y1: top, y2: top + 3, stroke: ink.line }),
      text(x(tick), top + 14, ink.dim, tickText(tick), "middle"),
    );
  }
  return parts;
}

/** A letter on a small plate. */
function plate(x: number, top: number, letter: string, colour: string, ink: Ink): SVGElement {
  return s(
    "g",
    {},
    s("rect", { x: x - 7, y: top, width: 14, height: 13, rx: 3, fill: colour }),
    s(
      "text",
      { x, y: top + 10, fill: ink.panel, "text-anchor": "middle", "font-size": 10, "font-weight": 700 },
      letter,
    ),
  );
}

/** The shown step as a dashed line; two that are compared as A and B. */
export function stepMarks(
  marks: Marks,
  x: (step: number) => number | null,
  top: number,
  bottom: number,
  ink: Ink,
  letters = true,
): Node[] {
  const parts: Node[] = [];
  const mark = (step: number, letter: string, colour: string, dash: string): void => {
    const at = x(step);
    if (at === null) return;
    const line = { x1: at, x2: at, y1: top, y2: bottom, stroke: colour, "stroke-width": 1.4 };
    parts.push(s("line", { ...line, ...(dash ? { "stroke-dasharray": dash } : {}), "data-step": step }));
    if (letter && letters) parts.push(plate(at, top - 13, letter, colour, ink));
  };
  const compared = marks.other !== null && marks.other !== marks.step;
  if (compared) mark(marks.other!, "B", ink.ink, "");
  mark(marks.step, compared ? "A" : "", ink.accent, "3 3");
  return parts;
}

/** A star on the axis at the best step. */
export function bestMark(x: number, y: number, ink: Ink, said: string): SVGElement {
  const points = Array.from({ length: 10 }, (_, i) => {
    const radius = i % 2 === 0 ? 6 : 2.5;
    const angle = (Math.PI / 5) * i - Math.PI / 2;
    return `${(x + radius * Math.cos(angle)).toFixed(1)},${(y + radius * Math.sin(angle)).toFixed(1)}`;
  });
  return s(
    "polygon",
    { points: points.join(" "), fill: ink.ink, stroke: ink.panel, "stroke-width": 1, class: "best-mark" },
    s("title", {}, said),
  );
}
