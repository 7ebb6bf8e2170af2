// TF.js: the ONNX graph as its fused operations, which is what its own converter makes of a network.
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgpu';

export async function prepare(folder) {
  await tf.setBackend('webgpu');
  await tf.ready();
  const [{ layers, output }, bytes] = await Promise.all([
    fetch(`${folder}/layers.json`).then((r) => r.json()),
    fetch(`${folder}/layers.bin`).then((r) => r.arrayBuffer()),
  ]);
  const tensor = ({ start, shape }) => tf.tensor(new Float32Array(bytes, 4 * start, tf.util.sizeFromShape(shape)), shape);
  for (const layer of layers.filter((l) => l.filter)) {
    layer.filter = tensor(layer.filter);
    layer.bias = tensor(layer.bias);
  }
  const operands = ({ filter, bias, stride, activation = 'linear', pads: [top, left, bottom, right] }, x) => {
    const pad = top + left + bottom + right === 0 ? 'valid' : [[0, 0], [top, bottom], [left, right], [0, 0]];
    return { x, filter, bias, strides: stride, pad, activation };
  };
  const compute = {
    conv: (layer, x) => tf.fused.conv2d(operands(layer, x)),
    depthwise: (layer, x) => tf.fused.depthwiseConv2d(operands(layer, x)),
    dense: ({ filter, bias }, x) => tf.fused.matMul({ a: tf.reshape(x, [x.shape[0], -1]), b: filter, bias }),
    mean: (_, x) => tf.mean(x, [1, 2], true),
    relu: (_, x) => tf.relu(x),
    relu6: (_, x) => tf.relu6(x),
    sigmoid: (_, x) => tf.sigmoid(x),
    add: (_, a, b) => tf.add(a, b),
    mul: (_, a, b) => tf.mul(a, b),
  };
  const network = (x) => {
    const values = { x };
    for (const layer of layers) values[layer.output] = compute[layer.kind](layer, ...layer.inputs.map((name) => values[name]));
    return values[output];
  };
  return async (input) => {
    const side = Math.sqrt(input.length / 3);
    const logits = tf.tidy(() => network(tf.tensor4d(input, [1, side, side, 3])));
    const data = await logits.data();
    logits.dispose();
    return data;
  };
}
