// Pointer and keys over steps: pointing, moving the step, and with Shift choosing two steps to compare.

export interface ScrubEvents {
  /** Over this step, or over none. */
  point(step: number | null, event: PointerEvent): void;
  pick(step: number, event: PointerEvent): void;
  /** Two steps are being chosen; `done` when they are. */
  brush(a: number, b: number, done: boolean): void;
}

/** Watches an element; `follows`: dragging moves the step along. */
export function scrub(
  element: HTMLElement | SVGElement,
  stepAt: (event: MouseEvent) => number | null,
  now: () => number | null,
  events: ScrubEvents,
  follows: boolean,
): void {
  let dragging = false;
  /** A press that began here: one that ends here only is somebody else's drag. */
  let pressed = false;
  let from: number | null = null;
  let to: number | null = null;
  element.addEventListener("pointermove", (event) => {
    const step = stepAt(event as PointerEvent);
    events.point(step, event as PointerEvent);
    if (step === null) return;
    if (from !== null) {
      if (step !== to) events.brush(from, step, false);
      to = step;
    } else if (dragging) events.pick(step, event as PointerEvent);
  });
  element.addEventListener("pointerdown", (raw) => {
    const event = raw as PointerEvent;
    const step = stepAt(event);
    if (step === null || event.button !== 0) return;
    if (event.shiftKey) {
      // A drag with Shift must not select the page's text.
      event.preventDefault();
      from = to = step;
      element.setPointerCapture(event.pointerId);
    } else if (!follows) pressed = true;
    else {
      dragging = true;
      element.setPointerCapture(event.pointerId);
      events.pick(step, event);
    }
  });
  element.addEventListener("pointerup", (raw) => {
    const event = raw as PointerEvent;
    if (from !== null && to !== null) {
      // Without a drag it is the other step of the one that is shown.
      const a = from === to ? (now() ?? from) : from;
      events.brush(a, to, true);
    } else if (pressed) {
      const step = stepAt(event);
      if (step !== null) events.pick(step, event);
    }
    dragging = pressed = false;
    from = to = null;
  });
  element.addEventListener("pointercancel", () => {
    dragging = pressed = false;
    from = to = null;
  });
  element.addEventListener("pointerleave", (event) => events.point(null, event as PointerEvent));
}

/** Where a key leads from a step of these: by one, to the ends, or a tenth of all. Null: the key means nothing here. */
export function stepKey(key: string, steps: readonly number[], from: number): number | null {
  const at = Math.max(0, steps.indexOf(from));
  const last = steps.length - 1;
  const far = Math.max(1, Math.round(steps.length / 10));
  const by = { ArrowRight: 1, ArrowLeft: -1, PageUp: far, PageDown: -far, Home: -last, End: last }[key];
  if (by === undefined || last < 0) return null;
  return steps[Math.max(0, Math.min(last, at + by))]!;
}
