// The roll-up of a writer's index assets: one record batch per commit, so that a timeline takes one request.
import type { Columns } from "./arrow";
import { checkHeads, readMetrics } from "./metrics";
import type { RolledCommit, RollUp } from "./types";

export function readRollUp(columns: Columns): RollUp {
  const table = readMetrics(columns);
  const n = columns.numbers("n", Uint32Array);
  const step = columns.nullable("step");
  const commits: RolledCommit[] = [];
  const known = new Set<number>();
  let first = 0;
  for (const rows of columns.batches) {
    const end = first + rows;
    if (rows > 0) {
      for (let row = first; row < end; row++) {
        if (n[row] !== n[first] || step[row] !== step[first]) throw columns.fail(`a batch holds several commits`);
      }
      if (known.has(n[first]!)) throw columns.fail(`commit ${n[first]} is there twice`);
      known.add(n[first]!);
      checkHeads(columns, table, first, end);
      commits.push({ n: n[first]!, step: step[first]!, first, end });
    }
    first = end;
  }
  return { table, commits };
}
