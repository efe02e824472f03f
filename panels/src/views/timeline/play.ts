// Plays the steps one after the other: each is shown for a moment once it is all there, and the last one ends it.

/** Milliseconds that a step is on screen. */
const SHOWN = 600;
/** Milliseconds between looks at whether a step is there. */
const LOOK = 50;

/** What is played, and how to tell that it is on screen. */
export interface Played {
  steps(): readonly number[];
  now(): number | null;
  show(step: number): void;
  /** Whether everything of the present step is drawn. */
  settled(): boolean;
  /** Playing began or ended. */
  changed(): void;
}

export class Player {
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The step that it went to; another one means that somebody else did. */
  private wanted: number | null = null;

  constructor(private readonly played: Played) {}

  get playing(): boolean {
    return this.timer !== undefined;
  }

  toggle(): void {
    if (this.playing) this.stop();
    else this.start();
  }

  /** From the present step on; from the first where the last is shown. */
  start(): void {
    const { played } = this;
    const steps = played.steps();
    if (this.playing || steps.length < 2) return;
    this.wanted = played.now();
    const atEnd = this.wanted === steps[steps.length - 1];
    this.timer = setTimeout(() => this.next(), 0);
    if (atEnd) this.go(steps[0]!);
    played.changed();
  }

  stop(): void {
    if (!this.playing) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.played.changed();
  }

  private go(step: number): void {
    this.wanted = step;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.next(), SHOWN);
    this.played.show(step);
  }

  private next(): void {
    const { played } = this;
    if (played.now() !== this.wanted) {
      this.stop();
      return;
    }
    const settled = played.settled();
    if (!this.playing) return;
    if (!settled) {
      this.timer = setTimeout(() => this.next(), LOOK);
      return;
    }
    const steps = played.steps();
    const after = steps[steps.indexOf(this.wanted ?? -1) + 1];
    if (after === undefined) this.stop();
    else this.go(after);
  }
}
