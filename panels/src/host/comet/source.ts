// Comet as a source: which of the chosen experiments hold attention, and what is logged to them meanwhile.
import { RunNotFoundError } from "../../decode/errors";
import type { Manifest, RunName, Source } from "../source";
import { AT_ONCE, type CometApi, CometTransportError, type Fetch, inTurns } from "./api";
import { reason } from "./bytes";
import { Experiment } from "./experiment";
import { Names } from "./names";
import { Ways } from "./ways";

/** Experiments whose assets are listed before anything is shown, and how many are while none of them has attention. */
const LOOKED_AT = 48;
const MOST = 240;
/** Milliseconds for which a list of assets that nobody has read from is as good as a new one. */
const FRESH = 10_000;
const HOW =
  'Log it with AttentionCallback(…, tracker="comet"), or later: attnlog sync RUN --tracker comet:EXPERIMENT_KEY';

export class CometSource implements Source {
  readonly ranges = false;
  readonly noun = "experiment";
  readonly carrier = "this experiment";
  readonly absent =
    "They were not logged: above ATTNLOG_COMET_BUDGET only indexes and pictures of a step are. " +
    "Choose another step, or open the run folder where it was trained: attnlog view RUN";
  readonly poll = 30_000;
  /** Of more experiments than are looked at before anything is shown, the others are when somebody opens the list. */
  readonly moreRuns?: () => Promise<RunName[]>;
  readonly findRun?: (id: string) => Promise<RunName | null>;
  private readonly ways: Ways;
  private readonly names: Names;
  /** Those with attention. A list without any is not kept: what is logged later has to be seen. */
  private readonly found = new Map<string, Experiment>();
  /** The others, those first that have not been looked at for longest. */
  private readonly others: string[];
  private readonly looked = new Set<string>();
  /** As they are given: a name that comes before anybody has taken them stands in them. */
  private readonly records = new Map<string, RunName>();
  /** When an experiment was listed that nobody has read from yet. */
  private readonly fresh = new Map<string, number>();
  /** Experiments that are being looked at, each with why it could not be. */
  private readonly asked = new Map<string, Promise<string | null>>();
  /** Experiments that are still to be looked at in this round, or just are. */
  private left = new Set<string>();
  private told: (run: RunName) => void = () => undefined;

  constructor(
    api: CometApi,
    private readonly experiments: readonly string[],
    download: Fetch = (url, init) => fetch(url, init),
    /** What is to be said of the panel's options. */
    readonly leftOut = "",
  ) {
    this.ways = new Ways(api, download);
    this.names = new Names(api, (id, name) => this.told(Object.assign(this.record(id), { name })));
    this.others = [...experiments];
    if (experiments.length > LOOKED_AT) {
      this.moreRuns = () => this.lookOn();
      this.findRun = (id) => this.find(id);
    }
  }

  follow(told: (run: RunName) => void): void {
    this.told = told;
  }

  /** The experiments with attention in them, as far as they have been looked at. */
  async runs(): Promise<RunName[]> {
    if (this.experiments.length === 0)
      throw new RunNotFoundError(
        "No experiment is chosen.",
        "Show experiments in the table of this project, or widen the panel's query.",
      );
    // Who waits for a first record looks again and again: a part of them each time.
    const most = this.looked.size === 0 ? MOST : LOOKED_AT;
    const refusals: string[] = [];
    this.left = new Set([...this.others, ...this.asked.keys()]);
    for (
      let count = 0;
      count === 0 || (this.found.size === 0 && this.left.size > 0 && count < most);
      count += LOOKED_AT
    )
      refusals.push(...(await this.look(LOOKED_AT)));
    if (this.found.size === 0) throw this.nothing(refusals);
    return this.named(this.experiments.filter((id) => this.found.has(id)));
  }

  async manifests(run: string): Promise<Manifest[]> {
    const since = this.fresh.get(run);
    this.fresh.delete(run);
    let experiment = this.found.get(run);
    // Asked again whenever the session looks for new steps: the list is read anew, too.
    if (!experiment || since === undefined || Date.now() - since > FRESH) {
      experiment ??= new Experiment(run, this.ways);
      await experiment.list();
      this.found.set(run, experiment);
      if (this.looked.has(run)) void this.lookAgain();
    }
    return experiment.manifests();
  }

  async get(run: string, path: string): Promise<Uint8Array> {
    const experiment = this.found.get(run) ?? new Experiment(run, this.ways);
    this.found.set(run, experiment);
    return experiment.get(path);
  }

  has(run: string, path: string): boolean {
    return this.found.get(run)?.has(path) ?? true;
  }

  private named(ids: readonly string[]): RunName[] {
    return ids.map((id) => Object.assign(this.record(id), { name: this.names.of(id) }));
  }

  private record(id: string): RunName {
    const record = this.records.get(id) ?? { id, name: "" };
    this.records.set(id, record);
    return record;
  }

  /** Looks at the next few experiments; says why some could not be. */
  private async look(count: number): Promise<string[]> {
    const refusals: string[] = [];
    const refused = (refusal: string | null | undefined) => refusal && refusals.push(refusal);
    // Each is taken when its turn comes, so that one which an address names need not wait for those before it.
    const turns = Array.from({ length: Math.min(count, this.others.length) });
    await inTurns(turns, async () => {
      const id = this.others.shift();
      if (id !== undefined) refused(await this.lookAt(id));
    });
    // Whoever asks for more where all are being looked at waits for what comes of it.
    if (turns.length === 0) for (const refusal of await Promise.all(this.asked.values())) refused(refusal);
    return refusals;
  }

  /** Lists the assets of an experiment that has been taken from the others; says why they could not be. */
  private lookAt(id: string): Promise<string | null> {
    const asked = this.list(id).then((refusal) => {
      this.asked.delete(id);
      this.left.delete(id);
      this.looked.add(id);
      if (!this.found.has(id)) this.others.push(id);
      return refusal;
    });
    this.asked.set(id, asked);
    return asked;
  }

  private async list(id: string): Promise<string | null> {
    const experiment = new Experiment(id, this.ways);
    try {
      await experiment.list();
      this.fresh.set(id, Date.now());
      if (experiment.hasManifest) this.found.set(id, experiment);
      return null;
    } catch (error) {
      // It may have been removed meanwhile; the others are there.
      return reason(error);
    }
  }

  /** Goes on until some more have been found, or all have been looked at. */
  private async lookOn(): Promise<RunName[]> {
    const before = new Set(this.found.keys());
    while (this.left.size > 0) {
      await this.look(LOOKED_AT);
      const more = [...this.found.keys()].filter((id) => !before.has(id));
      if (more.length > 0) return this.named(more);
    }
    return [];
  }

  private async find(id: string): Promise<RunName | null> {
    const at = this.others.indexOf(id);
    await (at >= 0 ? this.lookAt(this.others.splice(at, 1)[0]!) : this.asked.get(id));
    return this.found.has(id) ? this.named([id])[0]! : null;
  }

  /** Whether an experiment has begun to record beside the one that is shown. */
  private async lookAgain(): Promise<void> {
    const before = new Set(this.found.keys());
    await this.look(AT_ONCE);
    for (const id of this.found.keys()) if (!before.has(id)) this.told(this.named([id])[0]!);
  }

  /** Why there is nothing to show, and what is to be done. */
  private nothing(refusals: readonly string[]): Error {
    const [all, looked] = [this.experiments.length, this.looked.size];
    if (refusals.length > 0)
      return new CometTransportError(
        `Comet did not list the assets of ${refusals.length} of ${looked} experiments (${refusals[0]}).`,
        "Reload the page, or sign in again.",
      );
    if (all === 1) return new RunNotFoundError("The chosen experiment has no attention that attnlog logged.", HOW);
    if (looked >= all)
      return new RunNotFoundError(`None of the ${all} chosen experiments has attention that attnlog logged.`, HOW);
    return new RunNotFoundError(
      `Of the ${all} chosen experiments ${looked} have been looked at, and none has attention that attnlog logged. ` +
        "The others are looked at while this panel stays open.",
      `Filter the project's table to those that record attention. ${HOW}`,
    );
  }
}
