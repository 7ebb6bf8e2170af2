// The CPU reference, on the device of the model under test: loaded by `verify` alone.

import init, { Engine, golden as makeGolden, kernels as listKernels, synthetic } from './build/mbconv_reference.js';
import { handOver } from './device.js';
import { loader } from './module.js';

const start = loader(init, new URL('./mbconv_reference.wasm', import.meta.url));

/** Checks of every dispatch and of the whole network, see `Model.verify`. */
export async function checkWith({ device, adapter }, { arch, bytes, dtype }, input, shape, onStep = () => {}) {
  await start();
  const engine = await handOver(device, adapter, () => Engine.open());
  try {
    const checks = await engine.verify(arch, bytes, dtype, input, shape, onStep);
    return { checks, passes: checks.every((c) => c.passes) };
  } finally {
    engine.free();
  }
}

/** The model, weights, input and expected logits of a reference file (tests/goldens). */
export async function golden(file) {
  await start();
  const [arch, weights, input, shape, logits] = makeGolden(file);
  return { arch, weights, input, shape, logits };
}

/** A model's weights made by a rule, as a safetensors file. */
export async function syntheticWeights(model) {
  await start();
  return synthetic(model);
}

/** Every kernel of every registered model, as WebGPU takes it. */
export async function kernels() {
  await start();
  return listKernels().map(([key, code, pairs]) => {
    const constants = {};
    for (let i = 0; i < pairs.length; i += 2) constants[pairs[i]] = pairs[i + 1];
    return { key, code, constants };
  });
}
