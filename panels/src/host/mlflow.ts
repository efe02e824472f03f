// Host: our page on an MLflow tracking server. Runs and assets are named by parameters, for MLflow's login knows exact paths only.
import { AssetError } from "../decode/errors";
import { ServerSource } from "./server";
import type { RunName } from "./source";

interface Listed {
  runs: RunName[];
  next: string | null;
}

export class MlflowSource extends ServerSource {
  override readonly poll = 15_000;
  /** Of the runs that follow those listed so far; null: there are none. */
  private next: string | null = null;

  constructor() {
    super("", "Look whether the MLflow server is up, and reload the page.");
  }

  override async runs(): Promise<RunName[]> {
    return this.listed("runs");
  }

  async moreRuns(): Promise<RunName[]> {
    return this.next === null ? [] : this.listed(`runs?token=${encodeURIComponent(this.next)}`);
  }

  async findRun(id: string): Promise<RunName | null> {
    const response = await this.fetched(`run?run_id=${encodeURIComponent(id)}`);
    // To whom a run is not shown it is not there.
    if (response.status === 403 || response.status === 404) return null;
    if (!response.ok) throw new AssetError(`The server answered ${response.status} for the run ${id.slice(0, 80)}.`);
    return (await response.json()) as RunName;
  }

  private async listed(path: string): Promise<RunName[]> {
    const { runs, next } = (await (await this.ask(path)).json()) as Listed;
    this.next = next;
    return runs;
  }

  protected override manifestsAt(run: string): string {
    return `manifests?run_id=${encodeURIComponent(run)}`;
  }

  protected override assetAt(run: string, path: string): string {
    return `asset?run_id=${encodeURIComponent(run)}&path=${encodeURIComponent(path)}`;
  }
}
