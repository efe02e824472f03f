// Host: our page on an MLflow tracking server. Runs and assets are named by parameters, for MLflow's login knows exact paths only.
import { RunNotFoundError } from "../decode/errors";
import { ServerSource } from "./server";
import type { Manifest, RunName } from "./source";

const POLL = 15_000;
/** A run that ended a while ago gets more only where somebody delivers what an outage had left. */
const POLL_ENDED = 300_000;
/** Milliseconds for which more of a run may come after its end: it often ends before its last steps have been delivered. */
const LATE = 180_000;
/** Milliseconds between questions whether a run goes on. */
const STATUS = 60_000;
/** MLflow's words for a run that has ended. */
const ENDED: readonly string[] = ["finished", "failed", "killed"];

/** What the server last said of a run. */
interface Known {
  time: number;
  /** When it was first said to have ended; null: it goes on. */
  ended: number | null;
  /** Whether it was looked at when nothing more of it was on its way. */
  settled: boolean;
}

interface Listed {
  runs: RunName[];
  next: string | null;
}

export class MlflowSource extends ServerSource {
  override readonly poll = POLL;
  /** Of the runs that follow those listed so far; null: there are none. */
  private next: string | null = null;
  private told: (run: RunName) => void = () => undefined;
  private readonly known = new Map<string, Known>();

  constructor() {
    super("", {
      away: "Look whether the MLflow server is up, and reload the page.",
      missing: "It may still be on its way; else deliver the run again: attnlog sync RUN --tracker mlflow:RUN_ID",
      refused:
        "Ask whoever owns its experiment, or an administrator of this MLflow server, for the permission to read it; " +
        "or sign in as somebody who has it.",
    });
  }

  follow(told: (run: RunName) => void): void {
    this.told = told;
  }

  override async runs(): Promise<RunName[]> {
    return this.listed("runs");
  }

  async moreRuns(): Promise<RunName[]> {
    return this.next === null ? [] : this.listed(`runs?token=${encodeURIComponent(this.next)}`);
  }

  async findRun(id: string): Promise<RunName | null> {
    const response = await this.fetched(`run?run_id=${encodeURIComponent(id)}`);
    if (response.status === 404) return null;
    if (!response.ok) {
      const refusal = await this.refusal(response, `run ${id.slice(0, 80)}`);
      // To whom a run is not shown it is not there, but it is said why.
      throw response.status === 403 ? new RunNotFoundError(refusal.message, refusal.remedy) : refusal;
    }
    const run = (await response.json()) as RunName;
    this.note(run);
    return run;
  }

  pollOf(run: RunName): number {
    return ENDED.includes(run.status ?? "") && this.known.get(run.id)?.settled ? POLL_ENDED : POLL;
  }

  override async manifests(run: string): Promise<Manifest[]> {
    const begun = Date.now();
    const manifests = await super.manifests(run);
    const known = this.known.get(run);
    // A page that nobody sees does not look: how long ago the run ended does not say that its last steps have been seen.
    if (known && known.ended !== null && begun - known.ended >= LATE) known.settled = true;
    void this.follows(run);
    return manifests;
  }

  /** Asks every now and then whether a run goes on. */
  private async follows(id: string): Promise<void> {
    const known = this.known.get(id) ?? { time: 0, ended: null, settled: false };
    if (Date.now() - known.time < STATUS) return;
    this.known.set(id, { ...known, time: Date.now() });
    try {
      const run = await this.findRun(id);
      if (run) this.told(run);
    } catch {
      // It changes only how often the run is looked at.
    }
  }

  private note({ id, status }: RunName): void {
    const [time, before] = [Date.now(), this.known.get(id)];
    const ended = ENDED.includes(status ?? "") ? (before?.ended ?? time) : null;
    this.known.set(id, { time, ended, settled: ended !== null && before?.settled === true });
  }

  private async listed(path: string): Promise<RunName[]> {
    const { runs, next } = (await (await this.ask(path, "runs")).json()) as Listed;
    this.next = next;
    for (const run of runs) this.note(run);
    return runs;
  }

  protected override manifestsAt(run: string): string {
    return `manifests?run_id=${encodeURIComponent(run)}`;
  }

  protected override assetAt(run: string, path: string): string {
    return `asset?run_id=${encodeURIComponent(run)}&path=${encodeURIComponent(path)}`;
  }
}
