// What a host gives the viewer: which runs there are, their manifests, and bytes of their assets.

export interface RunName {
  id: string;
  name: string;
  /** What `attnlog.open` takes, where the host knows. */
  place?: string;
  /** What it belongs to, such as its experiment. */
  group?: string;
  /** In the tracker's own word: running, finished, failed. */
  status?: string;
  /** When it began, in milliseconds since 1970. */
  time?: number | null;
  /** Its own page in the tracker. */
  link?: string;
}

export interface Manifest {
  name: string;
  text: string;
}

export interface ByteRange {
  offset: number;
  length: number;
}

export interface Source {
  /** The runs there are; where there are many, the newest of them. */
  runs(): Promise<RunName[]>;
  /** The runs that follow those given so far since `runs` was asked; empty: there are no more. Absent: `runs` gives all. */
  moreRuns?(): Promise<RunName[]>;
  /** A run that `runs` may not have given; null where there is none. */
  findRun?(id: string): Promise<RunName | null>;
  /** Takes who is told what becomes known of a run later: its name, its status, or that there is one more. */
  follow?(told: (run: RunName) => void): void;
  manifests(run: string): Promise<Manifest[]>;
  /**
   * Bytes of one asset; with a range just these. The answer's buffer holds nothing else. `arrived` may be told how many bytes
   * have come so far.
   */
  get(run: string, path: string, range?: ByteRange, arrived?: (bytes: number) => void): Promise<Uint8Array>;
  /** False when `get` cannot give ranges: the session then fetches an asset once and cuts from it. */
  ranges: boolean;
  /** Whether this asset can be had at all; without it every asset can. */
  has?(run: string, path: string): boolean;
  /** One sentence for the user about what this source does not carry; empty when it carries everything. */
  leftOut?: string;
  /** What carries the run, in words: "this experiment"; absent: "this file". And what to do about assets that `has` denies. */
  carrier?: string;
  absent?: string;
  /** What this host calls a run, where it has a word of its own: "experiment". */
  noun?: string;
  /** Milliseconds between looks for new steps while the page is visible; absent: the run cannot grow. */
  poll?: number;
  /** The same of one run: one that has ended is looked at more rarely. */
  pollOf?(run: RunName): number;
}
