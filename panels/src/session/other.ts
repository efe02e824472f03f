// The other side of a comparison: another step, input or run, read beside the one that is open.
import type { Decoder } from "../decode/decoder";
import { NotRecordedError, RunNotFoundError } from "../decode/errors";
import { mergeManifests } from "../decode/manifest";
import type { Commit, RunRecord } from "../decode/types";
import type { Manifest, RunName, Source } from "../host/source";
import { grown } from "./growth";
import type { Progress } from "./progress";
import type { RunList } from "./runs";
import { findLayer, makeScene, type Scene } from "./scene";
import type { Other, State } from "./state";
import { Store } from "./store";

export interface Compared {
  run: RunName;
  store: Store;
  scene: Scene;
  input: number;
}

interface Opened {
  record: RunRecord;
  store: Store;
}

interface Kept extends Opened {
  /** Its manifests as they were read. */
  text: string;
}

/** Runs kept beside the one that is open: each may hold hundreds of megabytes of what was decoded. */
const KEPT = 2;

const scenes = new WeakMap<Commit, Scene>();

/** The scene of a commit where it has been read already. */
export const knownScene = (commit: Commit): Scene | undefined => scenes.get(commit);

/** Reads what a step holds, once. */
export async function readScene(store: Store, commit: Commit): Promise<Scene> {
  const known = scenes.get(commit);
  if (known) return known;
  const [inputs, index] = await Promise.all([store.inputs(commit), store.index(commit)]);
  const scene = makeScene(commit, inputs, index);
  scenes.set(commit, scene);
  return scene;
}

/** The step of a run that is shown where `wanted` is asked for: itself, else the last before it, else the first. */
export function nearestStep(commits: readonly Commit[], wanted: number | null): Commit | null {
  const before = commits.filter((one) => one.step <= (wanted ?? Number.POSITIVE_INFINITY));
  return before[before.length - 1] ?? commits[0] ?? null;
}

export class Others {
  /** The one compared with last comes last. */
  private readonly runs = new Map<string, Promise<Kept>>();
  /** Counts what has been read, at first and anew. */
  version = 0;

  constructor(
    private readonly source: Source,
    private readonly decoder: Decoder,
    private readonly progress: Progress,
  ) {}

  /** Steps of a run, for a list to choose from. */
  async steps(run: string): Promise<number[]> {
    return (await this.open(run)).record.commits.map((one) => one.step);
  }

  /** Reads a run's manifests again; whether it has gone on. */
  async refresh(run: string): Promise<boolean> {
    const kept = await this.runs.get(run);
    if (!kept) return false;
    const manifests = await this.source.manifests(run);
    const text = JSON.stringify(manifests);
    if (text === kept.text) return false;
    kept.record = grown(kept.record.commits, mergeManifests(manifests));
    kept.text = text;
    this.version++;
    return true;
  }

  private open(run: string): Promise<Kept> {
    const opened = this.runs.get(run) ?? this.source.manifests(run).then((manifests) => this.begin(run, manifests));
    const known = this.runs.delete(run);
    this.runs.set(run, opened);
    for (const oldest of [...this.runs.keys()].slice(0, -KEPT)) this.runs.delete(oldest);
    if (!known) opened.catch(() => this.runs.get(run) === opened && this.runs.delete(run));
    return opened;
  }

  private begin(run: string, manifests: Manifest[]): Kept {
    const record = mergeManifests(manifests);
    const store = new Store(this.source, run, this.decoder, this.progress);
    this.version++;
    return { record, store, text: JSON.stringify(manifests) };
  }

  /** How many runs are kept. */
  get size(): number {
    return this.runs.size;
  }

  /** Reads B; fails in words where there is no such run, step, input or layer. */
  async read(here: { run: RunName; runs: RunList; opened: Opened }, state: State, other: Other): Promise<Compared> {
    const run = other.run === null ? here.run : await here.runs.lookup(other.run);
    if (!run) throw new RunNotFoundError(`There is no run ${JSON.stringify(other.run)} here to compare with.`);
    const opened = run.id === here.run.id ? here.opened : await this.open(run.id);
    const { commits } = opened.record;
    const exact = commits.find((one) => one.step === (other.step ?? state.step));
    const commit = exact ?? (other.step === null ? nearestStep(commits, state.step) : null);
    if (!commit) {
      throw new NotRecordedError(
        other.step === null
          ? `Nothing has been recorded in run ${run.name} yet.`
          : `Step ${other.step} was not recorded in run ${run.name}.`,
        "Choose another step to compare with.",
      );
    }
    const scene = await readScene(opened.store, commit);
    const input = other.input ?? state.input;
    if (!scene.numbers.includes(input)) {
      throw new NotRecordedError(
        `Input ${input} was not recorded at step ${commit.step} of run ${run.name}.`,
        "Choose another input to compare with.",
      );
    }
    return { run, store: opened.store, scene, input };
  }
}

/** The steps of the run that is compared with, for a drop-down that is drawn again and again. */
export class StepList {
  private asked: { run: string; version: number; list: number[] } | null = null;

  constructor(
    private readonly others: Others,
    /** Told when there are other steps than were given. */
    private readonly changed: () => void,
  ) {}

  /** Those known so far. */
  of(run: string): number[] {
    const { others, asked: before } = this;
    if (before?.run === run && before.version === others.version) return before.list;
    const asked = { run, version: others.version, list: before?.run === run ? before.list : [] };
    this.asked = asked;
    others.steps(run).then(
      (found) => {
        if (this.asked !== asked) return;
        asked.list = found;
        this.changed();
      },
      // A run that cannot be read is said where it is compared. Once it could be, there is another version to ask for.
      () => undefined,
    );
    return asked.list;
  }
}

/** Why a layer cannot be compared; null where both sides have it. */
export function lacks(compared: Compared, state: State): NotRecordedError | null {
  if (findLayer(compared.scene, compared.input, state.kind, state.layer)) return null;
  return new NotRecordedError(
    `B (step ${compared.scene.commit.step} of run ${compared.run.name}) has no layer ${state.layer} of kind ${state.kind}.`,
    "Choose a layer that both have.",
  );
}
