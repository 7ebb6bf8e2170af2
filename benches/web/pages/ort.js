// onnxruntime-web; its networks take NCHW.

export async function session(ort, folder, provider) {
  ort.env.wasm.wasmPaths = '/packages/onnxruntime-web/dist/';
  ort.env.wasm.numThreads = navigator.hardwareConcurrency;
  ort.env.logLevel = 'error';
  const network = await ort.InferenceSession.create(`${folder}/model.onnx`, { executionProviders: [provider] });
  return async (nhwc) => {
    const pixels = nhwc.length / 3;
    const nchw = new Float32Array(nhwc.length);
    for (let c = 0; c < 3; c++) for (let i = 0; i < pixels; i++) nchw[c * pixels + i] = nhwc[3 * i + c];
    const side = Math.sqrt(pixels);
    return (await network.run({ x: new ort.Tensor('float32', nchw, [1, 3, side, side]) })).y.getData();
  };
}
