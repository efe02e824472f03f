// For programs under Node, which has no workers made from blobs: they decode in place.
export const noWorker = {
  name: "no-worker",
  setup(plugin) {
    plugin.onResolve({ filter: /^inline:worker$/ }, () => ({ path: "worker", namespace: "inline" }));
    plugin.onLoad({ filter: /.*/, namespace: "inline" }, () => ({ contents: "", loader: "text" }));
  },
};
