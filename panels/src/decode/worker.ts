// Entry of the decode worker: one job in, one answer out.
import { toRecord } from "./errors";
import { buffersOf, type Job, runJob } from "./jobs";

interface Scope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
}
const scope = globalThis as unknown as Scope;

scope.onmessage = async (event) => {
  const { id, job } = event.data as { id: number; job: Job };
  try {
    const result = await runJob(job);
    scope.postMessage({ id, result }, buffersOf(result));
  } catch (error) {
    scope.postMessage({ id, error: toRecord(error) });
  }
};
scope.postMessage({ id: -1 });
