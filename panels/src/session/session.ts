// One session: a source, the run that is open, and the state that all views are functions of.
import { Decoder } from "../decode/decoder";
import { RunNotFoundError } from "../decode/errors";
import { mergeManifests } from "../decode/manifest";
import type { Commit, RunRecord } from "../decode/types";
import type { Manifest, RunName, Source } from "../host/source";
import { Ahead } from "./ahead";
import { grown, Retry } from "./growth";
import { type Address, fromHash, missed } from "./hash";
import { type Compared, knownScene, lacks, nearestStep, Others, readScene } from "./other";
import { Pointing } from "./pointing";
import { Progress } from "./progress";
import { RunList } from "./runs";
import type { Scene } from "./scene";
import { START, type State, settle } from "./state";
import { Store } from "./store";

const PLACE = ["view", "step", "input", "kind", "layer"] as const;

export type Phase = "loading" | "ready" | "empty" | "error";

type Listener = () => void;

export class Session {
  readonly decoder: Decoder;
  phase: Phase = "loading";
  error: unknown = null;
  run: RunName | null = null;
  record: RunRecord | null = null;
  store: Store | null = null;
  /** The scene that the state is settled in; null while another step is being read. */
  scene: Scene | null = null;
  state: State = { ...START };
  /** What is compared with, once it has been read; null where nothing is, and while it is being read. */
  compared: Compared | null = null;
  /** Why it could not be read. */
  comparedError: unknown = null;
  readonly list: RunList;
  readonly others: Others;
  readonly progress = new Progress();
  readonly pointing = new Pointing();
  /** A step that arrived while the user looked at an earlier one. */
  news: number | null = null;

  private readonly listeners = new Set<Listener>();
  /** What an address asked for and is not here, in words. */
  said = "";
  private asked: Address | null = null;
  private comparedKey = "";
  private readonly ahead = new Ahead();
  private turn = 0;
  /** Counts choices of a run: an answer to an older one comes too late. */
  private picks = 0;
  /** The manifests as they were read last, and as text. */
  private manifests: readonly Manifest[] = [];
  private manifestText = "";
  /** For the step that could not be read. */
  private readonly retry = new Retry();
  /** The same for B. */
  private readonly retryOther = new Retry();
  /** Whether B has gone on since it was read. */
  private behind = false;
  private poller: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  constructor(
    readonly source: Source,
    useWorker?: boolean,
  ) {
    this.decoder = new Decoder(useWorker);
    this.list = new RunList(source, () => [this.run?.id, this.state.compare?.run]);
    // Views tell the names of the runs they show; of all others only lists do, which hear of them by themselves.
    this.list.subscribe((run) => {
      if (run && [this.run?.id, this.state.compare?.run].includes(run.id)) this.notify();
    });
    this.others = new Others(source, this.decoder, this.progress);
  }

  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private notify(): void {
    if (this.closed) return;
    for (const listener of [...this.listeners]) listener();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.poller);
    this.ahead.close();
    this.decoder.close();
    this.listeners.clear();
  }

  get runs(): RunName[] {
    return this.list.known;
  }

  get commits(): Commit[] {
    return this.record?.commits ?? [];
  }

  get commit(): Commit | null {
    return this.commits.find((one) => one.step === this.state.step) ?? null;
  }

  /** Reads the list of runs and opens the one the address names, else the first. */
  async start(hash: string): Promise<void> {
    const address = fromHash(hash);
    this.asked = address;
    try {
      await this.list.load();
      const named = address.run === undefined ? null : await this.list.lookup(address.run);
      const run = named ?? this.runs[0];
      if (!run) throw new RunNotFoundError("There is no run here yet.", "Runs appear after the first recorded step.");
      await this.open(run, address);
    } catch (error) {
      if (error instanceof RunNotFoundError) this.settlePhase("empty", error);
      else this.settlePhase("error", error);
      this.watch();
    }
  }

  /** Opens another run at its newest step, or where `patch` says. */
  async openRun(id: string, patch: Partial<State> = {}): Promise<void> {
    const pick = ++this.picks;
    try {
      const run = await this.list.lookup(id);
      if (pick !== this.picks) return; // another was chosen meanwhile
      if (!run) this.set(patch);
      else if (run !== this.run || !this.record) await this.open(run, { ...this.state, step: null, ...patch });
    } catch (error) {
      if (pick === this.picks) this.settlePhase("error", error);
    }
  }

  private async open(run: RunName, address: Address): Promise<void> {
    const turn = ++this.turn;
    this.run = run;
    this.record = null;
    this.scene = null;
    this.news = null;
    this.manifests = [];
    this.manifestText = "";
    this.store = new Store(this.source, run.id, this.decoder, this.progress);
    this.state = { ...this.state, ...address } as State;
    this.phase = "loading";
    this.error = null;
    this.notify();
    try {
      const manifests = await this.source.manifests(run.id);
      if (turn === this.turn) await this.begin(manifests);
    } catch (error) {
      // What became of a run that nobody waits for any more is no news.
      if (turn === this.turn) throw error;
    } finally {
      this.watch();
    }
  }

  private async begin(manifests: Manifest[]): Promise<void> {
    this.manifests = manifests;
    this.manifestText = JSON.stringify(manifests);
    this.record = mergeManifests(manifests);
    await this.show();
  }

  /** Changes the state; views hear of it at once, and again when another step's scene has been read. */
  set(patch: Partial<State>): void {
    this.state = { ...this.state, ...patch };
    void this.show();
  }

  /** Sets options of views; null takes one back to what the view does by itself. */
  choose(changes: Readonly<Record<string, string | null>>): void {
    const options: Record<string, string> = { ...this.state.options };
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete options[name];
      else options[name] = value;
    }
    this.set({ options });
  }

  /** Applies an address from outside; what it does not name stays. */
  apply(hash: string): void {
    const { run, ...named } = fromHash(hash);
    this.asked = { ...named, ...(run === undefined ? {} : { run }) };
    // An address that names a place in full is all of the state; another changes what it names.
    const patch = PLACE.every((name) => name in named) ? { ...START, ...named } : named;
    if (run !== undefined && run !== this.run?.id) void this.openRun(run, patch);
    else this.set(patch);
  }

  private async show(): Promise<void> {
    if (!this.record) {
      // Manifests are on their way, or could not be read: nobody knows yet what there is.
      this.notify();
      return;
    }
    const { commits } = this;
    const newest = commits[commits.length - 1];
    if (!newest) {
      this.settlePhase("empty", null);
      return;
    }
    const wanted = this.state.step;
    if (wanted === null || !commits.some((one) => one.step === wanted)) {
      this.state = { ...this.state, step: (nearestStep(commits, wanted) ?? newest).step };
    }
    const commit = this.commit as Commit;
    if (this.state.step === newest.step) this.news = null;
    const turn = ++this.turn;
    const known = knownScene(commit);
    if (known) {
      this.arrive(known);
      return;
    }
    this.scene = null;
    this.notify();
    try {
      const store = this.store as Store;
      const reading = readScene(store, commit);
      store.warm(commit);
      const scene = await reading;
      if (turn === this.turn) this.arrive(scene);
    } catch (error) {
      if (turn === this.turn) this.settlePhase("error", error);
    }
  }

  private arrive(scene: Scene): void {
    this.retry.reset();
    this.scene = scene;
    this.state = settle(this.state, scene);
    // Said until something else is chosen.
    this.said = this.asked ? missed(this.asked, this.state, this.run?.id ?? null) : "";
    this.asked = null;
    this.follow(scene);
    this.settlePhase("ready", null);
    if (!this.closed && this.source.ranges) this.ahead.look(this.store as Store, this.commits, scene, this.state);
  }

  /** Reads the other side of a comparison, where there is one that has not been read. */
  private follow(scene: Scene): void {
    const { state, run } = this;
    const { compare } = state;
    const key = compare ? JSON.stringify([run?.id, scene.commit.writer, scene.commit.n, state.input, compare]) : "";
    if (key === this.comparedKey) return;
    this.comparedKey = key;
    this.compared = this.comparedError = null;
    this.retryOther.reset();
    this.readOther();
  }

  /** Reads B; what is drawn of it stays until that has come. */
  private readOther(): void {
    const { state, run, record, store, comparedKey } = this;
    const { compare } = state;
    this.behind = false;
    if (!compare || !run || !record || !store) return;
    this.others.read({ run, runs: this.list, opened: { record, store } }, state, compare).then(
      (compared) => this.compare(comparedKey, compared, null),
      (error) => this.compare(comparedKey, null, error),
    );
  }

  private compare(key: string, compared: Compared | null, error: unknown): void {
    if (key !== this.comparedKey) return;
    if (error) {
      // Looked for again and again: what was read before is still true, and the same refusal is no news.
      this.behind = this.compared !== null;
      if (this.behind || String(error) === String(this.comparedError ?? "")) return;
    } else this.retryOther.reset();
    this.compared = compared;
    this.comparedError = error;
    this.notify();
  }

  /** Why what is asked for of B cannot be drawn; null: it can, or nothing is asked. */
  get comparedFailure(): unknown {
    const { compared, comparedError, state } = this;
    if (!state.compare || comparedError || !compared) return state.compare ? comparedError : null;
    return state.side === "a" ? null : lacks(compared, state);
  }

  /** Makes B what is compared and A what it is compared with. */
  swap(): void {
    const { compared, run, state, scene } = this;
    if (!compared || !run || !scene) return;
    const { compare } = state;
    const other = {
      run: compare?.run === null ? null : run.id,
      step: compare?.run === null && compare.step === null ? null : scene.commit.step,
      input: compare?.input === null ? null : state.input,
    };
    const next = { compare: other, step: compared.scene.commit.step, input: compared.input };
    if (compared.run.id === run.id) this.set(next);
    else void this.openRun(compared.run.id, next);
  }

  private settlePhase(phase: Phase, error: unknown): void {
    this.phase = phase;
    this.error = error;
    if (phase === "error") this.scene = null;
    this.notify();
  }

  /** Looks for new steps every few seconds while somebody can see them. */
  private watch(): void {
    const { source, run } = this;
    const poll = (run && source.pollOf?.(run)) ?? source.poll;
    clearTimeout(this.poller);
    if (!poll || this.closed) return;
    this.poller = setTimeout(async () => {
      if (typeof document === "undefined" || document.visibilityState === "visible") await this.refresh();
      this.watch();
    }, poll);
  }

  /** Reads the manifests again. Whoever is at the newest step is taken along; others get a quiet hint. */
  async refresh(): Promise<void> {
    try {
      if (!this.run) {
        await this.list.load();
        const asked = this.asked ?? {};
        const run = (asked.run === undefined ? null : await this.list.lookup(asked.run)) ?? this.runs[0];
        if (run) await this.open(run, asked);
        return;
      }
      const { run } = this;
      const manifests = await this.source.manifests(run.id);
      if (run !== this.run) return;
      const text = manifests === this.manifests ? this.manifestText : JSON.stringify(manifests);
      if (!this.record) {
        // It could not be read before; while it is being opened that goes on.
        if (this.phase !== "loading" && text !== this.manifestText) await this.begin(manifests);
        return;
      }
      if (text !== this.manifestText) {
        const record = mergeManifests(manifests);
        this.manifests = manifests;
        this.manifestText = text;
        this.adopt(record);
      } else if (this.phase === "error" && this.retry.due()) await this.show();
      await this.refreshOther();
    } catch {
      // A server that is away for a moment is no news; what is on screen stays true.
    }
  }

  /** The same for the run that is compared with. */
  private async refreshOther(): Promise<void> {
    const { comparedKey, state, run } = this;
    const other = state.compare?.run;
    if (!comparedKey || !other || other === run?.id) return;
    const changed = await this.others.refresh(other);
    if (comparedKey !== this.comparedKey) return;
    if (changed) this.retryOther.reset();
    if (changed || ((this.behind || this.comparedError) && this.retryOther.due())) this.readOther();
  }

  private adopt(record: RunRecord): void {
    // What could not be compared may be there now.
    if (this.comparedError) this.comparedKey = "";
    const before = this.commits;
    const atEnd = before.length === 0 || this.state.step === before[before.length - 1]!.step;
    this.record = grown(before, record);
    const newest = this.commits[this.commits.length - 1];
    if (!newest) return;
    if (atEnd) this.set({ step: newest.step });
    else {
      if (newest.step !== before[before.length - 1]?.step) this.news = newest.step;
      void this.show();
    }
  }
}
