// The metrics of all steps, for the timeline: from a writer's roll-up where there is one, else from the steps' own indexes.
import { METRICS, type Commit, type Metric, type MetricTable, type RollUp, type RollUpRecord } from "../decode/types";
import type { Store } from "./store";

/** Indexes that are fetched at the same time. */
const AT_ONCE = 3;

export class Indexes {
  /** What has been read. */
  readonly tables = new Map<Commit, MetricTable>();
  readonly failed = new Map<Commit, unknown>();
  private readonly reading = new Set<Commit>();
  private readonly tried = new Set<string>();
  private commits: Commit[] = [];
  private rollUps: RollUpRecord[] = [];
  private closed = false;

  constructor(
    private readonly store: Store,
    /** Called when more has been read, or could not be. */
    private readonly changed: () => void,
  ) {}

  /** Whether there is nothing left to wait for. */
  complete(commits: readonly Commit[]): boolean {
    return commits.every((one) => this.tables.has(one) || this.failed.has(one));
  }

  read(commits: Commit[], rollUps: RollUpRecord[]): void {
    this.commits = commits;
    this.rollUps = rollUps;
    this.next();
  }

  close(): void {
    this.closed = true;
  }

  private waiting(): Commit[] {
    return this.commits.filter((one) => !this.tables.has(one) && !this.failed.has(one) && !this.reading.has(one));
  }

  private next(): void {
    if (this.closed) return;
    for (const rollUp of this.rollUps) this.readRollUp(rollUp);
    for (const commit of this.waiting().slice(0, Math.max(0, AT_ONCE - this.reading.size))) {
      this.begin([commit], this.store.index(commit, 2), (table) => this.tables.set(commit, table), this.failed);
    }
  }

  private readRollUp({ writer, commits, asset }: RollUpRecord): void {
    const key = `${asset.path} ${asset.sha256}`;
    if (this.tried.has(key) || !this.store.carries(asset.path)) return;
    const numbers = new Set(commits);
    const covered = this.waiting().filter((one) => one.writer === writer && numbers.has(one.n));
    // One index takes one request as well, and is smaller; a file that carries few steps may carry no more than the roll-up.
    if (covered.length < 2 && covered.every((one) => this.store.carriesIndex(one))) return;
    this.tried.add(key);
    // What it does not hold, or all where it is damaged, is read step by step.
    this.begin(covered, this.store.rollUp(asset), (rollUp) => this.take(covered, rollUp), null);
  }

  private take(covered: Commit[], { table, commits }: RollUp): void {
    const rolled = new Map(commits.map((one) => [one.n, one]));
    for (const commit of covered) {
      const rows = rolled.get(commit.n);
      if (rows?.step === commit.step) this.tables.set(commit, cut(table, rows.first, rows.end));
    }
  }

  private begin<T>(
    commits: Commit[],
    reading: Promise<T>,
    take: (value: T) => void,
    failed: Map<Commit, unknown> | null,
  ): void {
    for (const commit of commits) this.reading.add(commit);
    reading
      .then(take, (error) => {
        for (const commit of commits) failed?.set(commit, error);
      })
      .finally(() => {
        for (const commit of commits) this.reading.delete(commit);
        if (this.closed) return;
        this.next();
        this.changed();
      });
  }
}

/** Some rows of a table, as views of it. */
function cut(table: MetricTable, first: number, end: number): MetricTable {
  const metrics = {} as Record<Metric, Float32Array>;
  for (const name of METRICS) metrics[name] = table.metrics[name].subarray(first, end);
  return {
    length: end - first,
    kinds: table.kinds,
    kind: table.kind.subarray(first, end),
    input: table.input.subarray(first, end),
    layer: table.layer.subarray(first, end),
    head: table.head.subarray(first, end),
    call: table.call.subarray(first, end),
    queries: table.queries.subarray(first, end),
    keys: table.keys.subarray(first, end),
    group: table.group.subarray(first, end),
    check: table.check.subarray(first, end),
    explained: table.explained.subarray(first, end),
    leftOut: table.leftOut.subarray(first, end),
    metrics,
  };
}
