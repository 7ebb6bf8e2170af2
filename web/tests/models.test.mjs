// Numbers: reference files of PyTorch, sample photographs, the CPU reference in the browser, and what is reported.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch, open, server } from './browser.mjs';

const root = path.join(import.meta.dirname, '../..');

/** Reference files in tests/goldens, one a family: PyTorch's float64 outputs, within 1e-5 of the native CPU reference. */
const MODELS = ['efficientnet_b0', 'mobilenetv2_100', 'mobilenetv3_large_100', 'mobilenext_100'];
/** Relative L2 of the logits; `end_to_end_bound` of the native side. */
const BOUND = 5e-5;
const F16_BOUND = 8 * 2 ** -11 * Math.sqrt(66);

let browser, site, page;
before(async () => {
  [browser, site] = await Promise.all([launch(), server()]);
  page = await open(browser, `${site.address}/pages/blank.html`);
  await page.waitForFunction(() => window.ready);
});
after(async () => {
  assert.deepEqual(page.problems, []);
  await browser?.close();
  site?.close();
});

for (const [name, dtype, bound] of [...MODELS.map((name) => [name, 'f32', BOUND]), ['efficientnet_b0', 'f16', F16_BOUND]]) {
  test(`${name} in ${dtype}: logits are PyTorch's`, async () => {
    const { error, finite } = await page.evaluate(async ([name, dtype]) => {
      const reference = await window.reference();
      const golden = await reference.golden(await bytes(`/goldens/${name}.safetensors`));
      const model = await mbconv.load({ weights: golden.weights, model: golden.arch, dtype });
      const { outputs } = await model.run(golden.input, { shape: golden.shape });
      await model.dispose();
      const [got, want] = [outputs.logits.data, golden.logits];
      const sum = (f) => want.reduce((total, v, i) => total + f(v, i), 0);
      return { error: Math.sqrt(sum((v, i) => (got[i] - v) ** 2) / sum((v) => v ** 2)), finite: got.every(Number.isFinite) };
    }, [name, dtype]);
    console.log(`  relative L2 ${error.toExponential(2)}, bound ${bound.toExponential(0)}`);
    assert.ok(finite && error <= bound, `${error}`);
  });
}

/** Header of a safetensors file. */
function header(file) {
  const bytes = readFileSync(path.join(root, file));
  return JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())));
}

test('the default model has the reference answers for the sample photographs', async () => {
  const { images } = JSON.parse(header('tests/goldens/real/lite0.safetensors').__metadata__.case);
  assert.equal(Object.keys(images).length, 4);
  const answers = await page.evaluate(
    async (files) => {
      const model = await mbconv.load();
      const answers = [];
      for (const file of files) answers.push(await model.classify(await (await fetch(`/assets/${file}`)).blob()));
      await model.dispose();
      return answers;
    },
    Object.values(images).map((i) => i.file),
  );
  Object.values(images).forEach(({ file, top5 }, i) => {
    assert.deepEqual(answers[i].map((p) => p.index), top5.map((t) => t[0]), file);
    const worst = Math.max(...top5.map(([, p], j) => Math.abs(p - answers[i][j].probability)));
    console.log(`  ${file}: ${answers[i][0].label}, probabilities within ${worst.toExponential(1)} of PyTorch's`);
    assert.ok(worst <= 0.05, `${file}: ${worst}`);
  });
});

test('the GPU resizes a lossless picture to exactly what the native CPU path makes of it', async () => {
  // Crops are Pillow's: at 224 x 224 with nothing to resize or cut, only the normalisation is left.
  const difference = await page.evaluate(async () => {
    const config = {
      architecture: 'tf_efficientnet_lite0',
      pretrained_cfg: { input_size: [3, 224, 224], crop_pct: 1, interpolation: 'bicubic', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    };
    const [whole, cropped] = await Promise.all([mbconv.load(), mbconv.load({ config })]);
    const logits = async (model, address) =>
      (await model.run(await (await fetch(address)).blob())).outputs.logits.data;
    const of = [];
    for (const name of ['coffee', 'chelsea']) {
      const a = await logits(whole, `/assets/${name}.png`);
      const b = await logits(cropped, `/goldens/real/crops/lite0_${name}.png`);
      of.push(Math.max(...a.map((v, i) => Math.abs(v - b[i]))));
    }
    await Promise.all([whole.dispose(), cropped.dispose()]);
    return of;
  });
  assert.deepEqual(difference, [0, 0]);
});

test('verify compares every dispatch with the CPU reference', async () => {
  const { checks, passes, steps, dispatches } = await page.evaluate(async () => {
    const model = await mbconv.load();
    let steps = 0;
    const report = await model.verify({ shape: [1, 64, 64, 3], onStep: () => steps++ });
    const { dispatches } = model.describe().counters;
    await model.dispose();
    return { ...report, steps, dispatches };
  });
  assert.equal(steps, dispatches);
  assert.ok(passes && checks.length > dispatches, JSON.stringify(checks.filter((c) => !c.passes)));
  assert.ok(checks.every((c) => c.relL2 <= c.bound && c.kernel && c.shape));
});

test('verify finds a shader that computes something else', async () => {
  const { checks, passes } = await page.evaluate(async () => {
    const real = GPUDevice.prototype.createShaderModule;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      return real.call(this, { ...descriptor, code: descriptor.code.replace('w.w1*x', 'w.w2*x') });
    };
    const device = await (await navigator.gpu.requestAdapter()).requestDevice({ requiredFeatures: ['subgroups'] });
    const model = await mbconv.load({ device });
    const report = await model.verify({ shape: [1, 64, 64, 3] });
    GPUDevice.prototype.createShaderModule = real;
    await model.dispose();
    device.destroy();
    return report;
  });
  assert.equal(passes, false);
  const wrong = checks.filter((c) => !c.passes && c.kernel.startsWith('pointwise'));
  assert.ok(wrong.length > 10, `${wrong.length} wrong steps found`);
});

test('each pipeline is asked for once, that of heads before the network is known', async () => {
  const { early, asked, kernels } = await page.evaluate(async () => {
    const asked = [];
    const real = GPUDevice.prototype.createComputePipeline;
    GPUDevice.prototype.createComputePipeline = function (descriptor) {
      asked.push(descriptor.label);
      return real.call(this, descriptor);
    };
    try {
      // The header, which says what to compile, arrives when the pipeline is asked for.
      const weights = await mbconv.syntheticWeights('mobilenetv2_100');
      let early;
      const stream = new ReadableStream({
        async pull(controller) {
          while (!asked.length) await new Promise((go) => setTimeout(go, 5));
          early ??= [...asked];
          controller.enqueue(weights);
          controller.close();
        },
      });
      const model = await mbconv.load({ weights: stream, model: 'mobilenetv2_100' });
      const kernels = model.describe().steps.map(({ kernel }) => kernel);
      await model.dispose();
      return { early, asked, kernels };
    } finally {
      GPUDevice.prototype.createComputePipeline = real;
    }
  });
  assert.ok(early.length === 1 && early[0].startsWith('head_pool'), `${early}`);
  assert.deepEqual(asked.sort(), [...new Set(kernels)].sort());
});

test('profile names every dispatch and counts the calls across the border', async () => {
  const { profile, dispatches, pipelines } = await page.evaluate(async () => {
    const model = await mbconv.load();
    const canvas = new OffscreenCanvas(300, 200);
    canvas.getContext('2d').fillRect(0, 0, 100, 100);
    const profile = await model.profile(canvas);
    const { dispatches, pipelines } = model.describe().counters;
    await model.dispose();
    return { profile, dispatches, pipelines };
  });
  assert.equal(profile.steps.length, dispatches);
  assert.ok(profile.steps.every((s) => s.ms >= 0 && s.label && s.bytes > 0) && profile.ms > 0);
  assert.ok(Object.values(profile.phases).every((ms) => ms >= 0));
  const { border } = profile;
  console.log(`  ${border.total} calls for ${dispatches} dispatches: ${JSON.stringify(border)}`);
  // Two more dispatches resize the picture; a pass of each; pipelines are set only where they change.
  assert.equal(border.dispatchWorkgroups, dispatches + 2);
  assert.equal(border.setBindGroup, dispatches + 2);
  assert.ok(border.setPipeline > pipelines && border.setPipeline <= dispatches + 2);
  assert.equal(border.submit, 2);
  assert.equal(border.mapAsync, 1);
  assert.ok(border.total <= 3 * (dispatches + 2) + 30, `${border.total}`);
  assert.equal(border.createBuffer ?? 0, 0);
});

test('every kernel of every registered model passes the browser’s compiler, within the default limits', async () => {
  const { count, problems } = await page.evaluate(async () => {
    const kernels = await (await window.reference()).kernels();
    const device = await (await navigator.gpu.requestAdapter()).requestDevice({ requiredFeatures: ['subgroups'] });
    const [modules, problems] = [new Map(), []];
    const compile = async ({ key, code, constants }) => {
      if (!modules.has(code)) modules.set(code, device.createShaderModule({ code }));
      const compute = { module: modules.get(code), entryPoint: 'main', constants };
      await device.createComputePipelineAsync({ layout: 'auto', compute }).catch((e) => problems.push(`${key}: ${e.message}`));
    };
    await Promise.all(kernels.map(compile));
    device.destroy();
    return { count: kernels.length, problems };
  });
  console.log(`  ${count} kernels`);
  assert.deepEqual(problems, []);
  assert.ok(count > 40, `${count}`);
});

test('models() lists the registry, and names that do not exist are answered with near ones', async () => {
  const { names, error } = await page.evaluate(async () => {
    const list = await mbconv.models();
    const error = await mbconv.load({ model: 'eficientnet_b0' }).catch((e) => ({ name: e.name, message: e.message }));
    return { names: list.map((m) => m.name), error };
  });
  assert.ok(names.length > 40 && MODELS.every((m) => names.includes(m)));
  assert.equal(error.name, 'UnknownNameError');
  assert.match(error.message, /efficientnet_b0/);
});
