// Counts the calls into WebGPU, each of which crosses from wasm to JavaScript.

const counted = () =>
  [
    [globalThis.GPUComputePassEncoder, ['setPipeline', 'setBindGroup', 'dispatchWorkgroups', 'end']],
    [globalThis.GPUCommandEncoder, ['beginComputePass', 'copyBufferToBuffer', 'copyTextureToBuffer', 'resolveQuerySet', 'finish']],
    [globalThis.GPUDevice, ['createCommandEncoder', 'createBindGroup', 'createBuffer', 'createTexture', 'pushErrorScope', 'popErrorScope']],
    [globalThis.GPUQueue, ['submit', 'writeBuffer', 'copyExternalImageToTexture']],
    [globalThis.GPUBuffer, ['mapAsync', 'getMappedRange', 'unmap']],
  ].filter(([type]) => type);

export function countCalls() {
  let restore = [];
  const calls = {};
  return {
    start() {
      for (const [type, names] of counted()) {
        for (const name of names) {
          const original = type.prototype[name];
          if (!original) continue;
          type.prototype[name] = function (...args) {
            calls[name] = (calls[name] ?? 0) + 1;
            return original.apply(this, args);
          };
          restore.push(() => (type.prototype[name] = original));
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
