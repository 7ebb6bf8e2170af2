import { Tensor, loadAndCompile, loadLiteRt } from '@litertjs/core';

export async function prepare(folder) {
  await loadLiteRt('/packages/@litertjs/core/wasm/', { jspi: true });
  const network = await loadAndCompile(`${folder}/model.tflite`, { accelerator: 'webgpu', gpuOptions: { precision: 'fp32' } });
  return async (input) => {
    const side = Math.sqrt(input.length / 3);
    const x = new Tensor(input, [1, side, side, 3]);
    const [y] = await network.run(x);
    const logits = await y.data();
    x.delete();
    y.delete();
    return logits;
  };
}
