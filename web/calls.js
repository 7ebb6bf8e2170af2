// Counts the calls into WebGPU, each of which crosses from wasm to JavaScript.

const TYPES = ['GPUComputePassEncoder', 'GPUCommandEncoder', 'GPUDevice', 'GPUQueue', 'GPUBuffer'];

export function countCalls() {
  let restore = [];
  const calls = {};
  return {
    start() {
      for (const type of TYPES) {
        const { constructor, ...methods } = Object.getOwnPropertyDescriptors(globalThis[type]?.prototype ?? {});
        for (const [name, { value }] of Object.entries(methods)) {
          if (typeof value !== 'function') continue;
          globalThis[type].prototype[name] = function (...args) {
            calls[name] = (calls[name] ?? 0) + 1;
            return value.apply(this, args);
          };
          restore.push(() => (globalThis[type].prototype[name] = value));
        }
      }
    },
    /** Calls by name; from here on nothing is counted. */
    stop() {
      restore.forEach((undo) => undo());
      restore = [];
      return { ...calls, total: Object.values(calls).reduce((a, b) => a + b, 0) };
    },
  };
}
