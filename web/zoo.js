// Architectures and checkpoints: which network a file of weights is for. The default model does without.

import init, { models as listModels, network } from './build/mbconv_zoo.js';
import { headOf } from './header.js';
import { loader } from './module.js';

export const start = loader(init, new URL('./mbconv_zoo.wasm', import.meta.url));

export async function models() {
  await start();
  return listModels();
}

/** What is known of the model of a safetensors file, and its `network`, which `Engine.load` takes. */
export async function modelOf({ name, bytes }, model, config) {
  await start();
  return network(name, headOf(bytes), bytes.byteLength, model, config);
}
