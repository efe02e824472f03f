// Rows of equal height in a scroller, of which only those near the window exist.

/** Rows kept outside the window, above and below. */
const SPARE = 12;
/** Up to this many rows all of them exist: the browser's own search and selection then find them. */
const ALL_BELOW = 200;

export interface Window {
  first: number;
  /** One past the last. */
  end: number;
}

/** Which rows exist when the scroller stands at `top`. */
export function rowWindow(count: number, row: number, top: number, height: number): Window {
  if (count <= ALL_BELOW) return { first: 0, end: count };
  const first = Math.max(0, Math.floor(top / row) - SPARE);
  return { first, end: Math.min(count, Math.ceil((top + height) / row) + SPARE) };
}

/** A column of virtual rows. `make` fills one row; rows are kept while they stay in the window. */
export class Rows {
  readonly root: HTMLElement;
  private readonly made = new Map<number, HTMLElement>();

  constructor(
    root: HTMLElement,
    private readonly make: (index: number) => HTMLElement,
  ) {
    this.root = root;
    root.style.position = "relative";
  }

  clear(): void {
    this.made.clear();
    this.root.replaceChildren();
  }

  show({ first, end }: Window, row: number, count: number): void {
    this.root.style.height = `${count * row}px`;
    for (const [index, element] of this.made) {
      if (index >= first && index < end) continue;
      element.remove();
      this.made.delete(index);
    }
    const fresh: HTMLElement[] = [];
    for (let index = first; index < end; index++) {
      let element = this.made.get(index);
      if (!element) {
        element = this.make(index);
        this.made.set(index, element);
        fresh.push(element);
      }
      element.style.top = `${index * row}px`;
      element.style.height = `${row}px`;
      element.style.lineHeight = `${row}px`;
    }
    this.root.append(...fresh);
  }

  each(change: (index: number, element: HTMLElement) => void): void {
    for (const [index, element] of this.made) change(index, element);
  }

  get(index: number): HTMLElement | undefined {
    return this.made.get(index);
  }
}
