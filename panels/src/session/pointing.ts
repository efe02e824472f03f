// What the pointer is on in one view, so that the others mark it too: apart from the state, because nothing is drawn anew for it.

/** Positions on the query and the key axis of what is shown, which is A where a difference is; null: only the other is pointed at. */
export interface Pointed {
  query: number | null;
  key: number | null;
}

type Listener = (at: Pointed | null) => void;

export class Pointing {
  private at: Pointed | null = null;
  private by: object | null = null;
  private readonly listeners = new Map<object, Listener>();

  /** Tells a view what others point at; it never hears of itself. */
  follow(view: object, listener: Listener): void {
    this.listeners.set(view, listener);
  }

  forget(view: object): void {
    this.listeners.delete(view);
    this.point(view, null);
  }

  /** A view points at something; at nothing it can only say of itself. */
  point(view: object, at: Pointed | null): void {
    const found = at && (at.query !== null || at.key !== null) ? at : null;
    if (!found && this.by !== view) return;
    const before = this.at;
    const same = this.by === view && before?.query === found?.query && before?.key === found?.key;
    if (same) return;
    const other = this.by;
    this.at = found;
    this.by = found && view;
    // Whoever points marks nothing of others any more.
    if (found && other && other !== view) this.listeners.get(view)?.(null);
    for (const [follower, listener] of this.listeners) if (follower !== view) listener(found);
  }

  /** What is marked in a view that does not point itself. */
  of(view: object): Pointed | null {
    return this.by === view ? null : this.at;
  }

  get pointed(): Pointed | null {
    return this.at;
  }
}
