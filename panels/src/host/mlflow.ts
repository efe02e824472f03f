// Host: our page on an MLflow tracking server. Runs and assets are named by parameters, for MLflow's login knows exact paths only.
import { RunNotFoundError } from "../decode/errors";
import { ServerSource } from "./server";
import type { Manifest, RunName } from "./source";

const POLL = 15_000;
/** A run that has ended gets more only where somebody delivers what an outage had left. */
const POLL_ENDED = 300_000;
/** Milliseconds between questions whether a run goes on. */
const STATUS = 60_000;
/** MLflow's words for a run that has ended. */
const ENDED: readonly string[] = ["finished", "failed", "killed"];

interface Listed {
  runs: RunName[];
  next: string | null;
}

export class MlflowSource extends ServerSource {
  override readonly poll = POLL;
  /** Of the runs that follow those listed so far; null: there are none. */
  private next: string | null = null;
  private told: (run: RunName) => void = () => undefined;
  /** Whether a run has ended, and when the server said so. */
  private readonly states = new Map<string, { ended: boolean; time: number }>();
  /** Runs that have just ended: what they logged last may be newer than the last look. */
  private readonly ending = new Set<string>();

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
    return ENDED.includes(run.status ?? "") && !this.ending.has(run.id) ? POLL_ENDED : POLL;
  }

  override async manifests(run: string): Promise<Manifest[]> {
    const manifests = await super.manifests(run);
    this.ending.delete(run);
    void this.follows(run);
    return manifests;
  }

  /** Asks every now and then whether a run goes on. */
  private async follows(id: string): Promise<void> {
    const { time, ended } = this.states.get(id) ?? { time: 0, ended: false };
    if (Date.now() - time < STATUS) return;
    this.states.set(id, { time: Date.now(), ended });
    try {
      const run = await this.findRun(id);
      if (run) this.told(run);
    } catch {
      // It changes only how often the run is looked at.
    }
  }

  private note({ id, status }: RunName): void {
    const ended = ENDED.includes(status ?? "");
    if (ended && this.states.get(id)?.ended === false) this.ending.add(id);
    this.states.set(id, { ended, time: Date.now() });
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
