// Architectures and checkpoints: which network a file of weights is for. The default model does without.

import init, { models as listModels, network } from './build/mbconv_zoo.js';
import { loader } from './module.js';

export const start = loader(init, new URL('./mbconv_zoo.wasm', import.meta.url));

export async function models() {
  await start();
  return listModels();
}

/**
 * What is known of the model of a safetensors file, of which the `head` is enough, and its `network`, which `Engine.load`
 * takes: with the values named in `keep` among its outputs.
 */
export async function modelOf({ name, head, size }, model, config, keep = []) {
  await start();
  return network(name, head, size, model, config, keep);
}
