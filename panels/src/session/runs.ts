// The runs of a source: those that were listed so far, and any other by its id.
import type { RunName, Source } from "../host/source";

/** Runs listed at most; others can be had by their address. */
const MOST = 5_000;

export class RunList {
  /** In the source's order; those that were only looked up come last. */
  known: RunName[] = [];
  /** While the rest of a long list is being read. */
  busy = false;
  /** Why it could not be read. */
  error: unknown = null;

  constructor(
    private readonly source: Source,
    private readonly changed: () => void,
  ) {}

  /** Whether there may be more runs than are known. */
  get long(): boolean {
    return this.source.moreRuns !== undefined;
  }

  async load(): Promise<RunName[]> {
    this.take(await this.source.runs(), true);
    return this.known;
  }

  /** One run, listed or not; null where there is none. */
  async lookup(id: string): Promise<RunName | null> {
    const known = this.known.find((one) => one.id === id);
    if (known || !this.source.findRun) return known ?? null;
    const found = await this.source.findRun(id);
    if (found) this.take([found], false);
    return this.known.find((one) => one.id === id) ?? null;
  }

  /** Lists the runs again, all of them. */
  async list(): Promise<void> {
    if (this.busy || !this.source.moreRuns) return;
    this.busy = true;
    this.error = null;
    this.changed();
    try {
      const listed = await this.source.runs();
      for (;;) {
        const more = listed.length < MOST ? await this.source.moreRuns() : [];
        if (more.length === 0) break;
        listed.push(...more);
        this.take(listed, true);
        this.changed();
      }
      this.take(listed, true);
    } catch (error) {
      this.error = error;
    }
    this.busy = false;
    this.changed();
  }

  /** Whoever holds a run keeps it: what is known of it is brought up to date. */
  private take(found: RunName[], first: boolean): void {
    const before = new Map(this.known.map((one) => [one.id, one]));
    const fresh = found.map((one) => Object.assign(before.get(one.id) ?? {}, one));
    const names = new Set(fresh.map((one) => one.id));
    const rest = this.known.filter((one) => !names.has(one.id));
    this.known = first ? [...fresh, ...rest] : [...rest, ...fresh];
  }
}
