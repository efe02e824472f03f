// The runs of a source: those that were listed so far, and any other by its id.
import type { RunName, Source } from "../host/source";

/** Runs listed at most; others can be had by their address. */
const MOST = 5_000;

/** Hears that the list has changed, and of which run something more has become known. */
type Listener = (learnt: RunName | null) => void;

export class RunList {
  /** In the source's order; those that were only looked up come last. */
  known: RunName[] = [];
  /** While the rest of a long list is being read. */
  busy = false;
  /** Why it could not be read. */
  error: unknown = null;
  private readonly listeners = new Set<Listener>();
  /** Those that no listing gave, but an address or the source by itself. */
  private readonly unlisted = new Set<string>();

  constructor(
    private readonly source: Source,
    /** Runs that somebody looks at, which stay whatever is listed. */
    private readonly held: () => readonly (string | null | undefined)[] = () => [],
  ) {
    source.follow?.((run) => this.learn(run));
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private tell(learnt: RunName | null = null): void {
    for (const listener of [...this.listeners]) listener(learnt);
  }

  /** Whether there may be more runs than are known. */
  get long(): boolean {
    return this.source.moreRuns !== undefined;
  }

  async load(): Promise<RunName[]> {
    this.take(await this.source.runs(), !this.long);
    return this.known;
  }

  /** One run, listed or not; null where there is none. */
  async lookup(id: string): Promise<RunName | null> {
    const known = this.known.find((one) => one.id === id);
    if (known || !this.source.findRun) return known ?? null;
    const found = await this.source.findRun(id);
    if (found) this.add(found);
    return this.known.find((one) => one.id === id) ?? null;
  }

  /** Lists the runs again, all of them. */
  async list(): Promise<void> {
    if (this.busy || !this.source.moreRuns) return;
    this.busy = true;
    this.error = null;
    this.tell();
    try {
      const listed = await this.source.runs();
      for (;;) {
        const full = listed.length >= MOST;
        const more = full ? [] : await this.source.moreRuns();
        if (more.length === 0) {
          this.take(listed, !full);
          break;
        }
        listed.push(...more);
        this.take(listed, false);
        this.tell();
      }
    } catch (error) {
      this.error = error;
    }
    this.busy = false;
    this.tell();
  }

  /** What the source says of a run by itself. */
  private learn(run: RunName): void {
    const known = this.known.find((one) => one.id === run.id);
    const before = JSON.stringify(known);
    if (known) Object.assign(known, run);
    else this.add(run);
    if (JSON.stringify(known) !== before || !known) this.tell(known ?? run);
  }

  private add(run: RunName): void {
    if (this.known.some((one) => one.id === run.id)) return;
    this.unlisted.add(run.id);
    this.known = [...this.known, run];
  }

  /**
   * Whoever holds a run keeps it: what is known of it is brought up to date. A run that begins while pages are read shifts them,
   * so that one comes twice. What a whole listing lacks is gone.
   */
  private take(found: readonly RunName[], whole: boolean): void {
    const before = new Map(this.known.map((one) => [one.id, one]));
    const fresh = new Map(found.map((one) => [one.id, Object.assign(before.get(one.id) ?? {}, one)]));
    for (const id of fresh.keys()) this.unlisted.delete(id);
    const held = new Set(this.held());
    const stays = (id: string): boolean => !whole || this.unlisted.has(id) || held.has(id);
    const rest = this.known.filter(({ id }) => !fresh.has(id) && stays(id));
    this.known = [...fresh.values(), ...rest];
  }
}
