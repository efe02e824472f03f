// Hands jobs to a worker made from a blob, most urgent first, each with a deadline; without workers it decodes in place.
import workerSource from "inline:worker";
import { AssetError, fromRecord } from "./errors";
import { type Job, type JobKind, type Results, runJob } from "./jobs";

interface Waiting {
  id: number;
  job: Job;
  /** Smaller runs first: 0 what is being looked at, 1 the rest of the screen, 2 the timeline's other steps. */
  priority: number;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Milliseconds one job may take: a damaged Arrow file can make a reader loop for ever. */
const deadline = (job: Job): number => 20_000 + job.decoded / 2_000;

/** How long a new worker may take to answer before decoding goes on without one. */
const START_MS = 8_000;

/** Bytes of an asset, and of what it decodes to, that take the page no time that anybody notices. */
const SMALL = { bytes: 300_000, decoded: 1_000_000 };

const isSmall = ({ parts, decoded }: Job): boolean =>
  decoded <= SMALL.decoded && parts.reduce((sum, one) => sum + one.bytes.length, 0) <= SMALL.bytes;

export class Decoder {
  private worker: Worker | null = null;
  private works: "unknown" | "yes" | "no" = "unknown";
  private url = "";
  private queue: Waiting[] = [];
  private running: Waiting | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private count = 0;
  private closed = false;

  constructor(useWorker = typeof Worker !== "undefined") {
    if (!useWorker) this.works = "no";
    else this.start();
  }

  run<K extends JobKind>(job: Job<K>, priority = 0): Promise<Results[K]> {
    // Until the worker is up, what is small is read sooner here than by waiting for it.
    if (this.works === "unknown" && isSmall(job as Job)) return runJob(job);
    return new Promise((resolve, reject) => {
      const waiting = { id: this.count++, job: job as Job, priority, resolve: resolve as (v: unknown) => void, reject };
      let at = this.queue.length;
      while (at > 0 && this.queue[at - 1]!.priority > priority) at--;
      this.queue.splice(at, 0, waiting);
      this.next();
    });
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.worker?.terminate();
    if (this.url) URL.revokeObjectURL(this.url);
    this.queue = [];
  }

  private start(): void {
    try {
      this.url ||= URL.createObjectURL(new Blob([workerSource], { type: "text/javascript" }));
      const worker = new Worker(this.url);
      worker.onmessage = (event) => this.answered(event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        this.giveUpWorkers();
      };
      this.worker = worker;
      if (this.works === "unknown") {
        setTimeout(() => {
          if (this.works === "unknown" && !this.closed) this.giveUpWorkers();
        }, START_MS);
      }
    } catch {
      this.works = "no";
    }
  }

  /** The host forbids workers (or its policy stops their script): what waits is decoded here instead. */
  private giveUpWorkers(): void {
    this.works = "no";
    this.worker?.terminate();
    this.worker = null;
    clearTimeout(this.timer);
    if (this.running) this.queue.unshift(this.running);
    this.running = null;
    this.next();
  }

  private next(): void {
    if (this.running || this.closed) return;
    const waiting = this.queue.shift();
    if (!waiting) return;
    this.running = waiting;
    if (this.works === "no") {
      void this.runHere(waiting);
      return;
    }
    this.timer = setTimeout(() => this.late(waiting), deadline(waiting.job));
    // Copied, not moved: the bytes may belong to a source's cache.
    this.worker?.postMessage({ id: waiting.id, job: waiting.job });
  }

  private async runHere(waiting: Waiting): Promise<void> {
    // A turn of the event loop between jobs keeps the page alive.
    await new Promise((resolve) => setTimeout(resolve, 0));
    try {
      waiting.resolve(await runJob(waiting.job));
    } catch (error) {
      waiting.reject(error);
    }
    this.running = null;
    this.next();
  }

  private answered(data: { id: number; result?: unknown; error?: Parameters<typeof fromRecord>[0] }): void {
    this.works = "yes";
    const waiting = this.running;
    if (!waiting || data.id !== waiting.id) return;
    clearTimeout(this.timer);
    this.running = null;
    if (data.error) waiting.reject(fromRecord(data.error));
    else waiting.resolve(data.result);
    this.next();
  }

  private late(waiting: Waiting): void {
    this.worker?.terminate();
    this.running = null;
    waiting.reject(
      new AssetError(
        `${waiting.job.asset} could not be decoded in time`,
        "Copy the run again from where it was written.",
      ),
    );
    this.start();
    this.next();
  }
}
