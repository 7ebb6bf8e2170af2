// Every kind of picture, batches, embeddings, kept values, a worker, a device of one's own.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, server } from './browser.mjs';

let browser, site, page;
before(async () => {
  [browser, site] = await Promise.all([launch(), server()]);
  page = await open(browser, `${site.address}/pages/blank.html`);
  await page.waitForFunction(() => window.ready);
  await page.evaluate(async () => {
    window.model = await mbconv.load();
    window.blob = await (await fetch('/assets/coffee.png')).blob();
    window.bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
    window.want = (await model.run(bitmap)).outputs.logits.data;
    window.furthest = (got) => Math.max(...got.map((v, i) => Math.abs(v - want[i])));
  });
});
after(async () => {
  await page.evaluate(() => model.dispose());
  assert.deepEqual(page.problems, []);
  await browser?.close();
  site?.close();
});

/** What makes a picture of `bitmap`, and how far the logits may be off: video is lossy. */
const SOURCES = {
  HTMLImageElement: [async () => {
    const image = new Image();
    image.src = '/assets/coffee.png';
    await image.decode();
    return image;
  }, 0],
  'an HTMLImageElement that is still loading': [async () => Object.assign(new Image(), { src: '/assets/coffee.png?again' }), 0],
  Blob: [async () => blob, 0],
  File: [async () => new File([blob], 'coffee.png'), 0],
  ImageData: [async () => {
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  }, 0],
  OffscreenCanvas: [async () => {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    return canvas;
  }, 0],
  HTMLCanvasElement: [async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: bitmap.width, height: bitmap.height });
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    return canvas;
  }, 0],
  VideoFrame: [async () => new VideoFrame(bitmap, { timestamp: 0 }), 0],
  HTMLVideoElement: [async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: bitmap.width, height: bitmap.height });
    const context = canvas.getContext('2d');
    const video = Object.assign(document.createElement('video'), { muted: true, srcObject: canvas.captureStream(30) });
    window.drawing = setInterval(() => context.drawImage(bitmap, 0, 0), 30);
    await video.play();
    await new Promise((go) => setTimeout(go, 300));
    return video;
  }, 1],
};

for (const [name, [make, tolerance]] of Object.entries(SOURCES)) {
  test(name, async () => {
    const off = await page.evaluate(`(async () => {
      const picture = await (${make})();
      const { outputs } = await model.run(picture);
      clearInterval(window.drawing);
      picture.close?.();
      return furthest(outputs.logits.data);
    })()`);
    assert.ok(off <= tolerance, `logits off by ${off}`);
  });
}

test('Float32Array, its batch and its kept values', async () => {
  const result = await page.evaluate(async () => {
    const [, h, w, c] = model.describe().input;
    const one = Float32Array.from({ length: h * w * c }, (_, i) => Math.sin(i));
    const two = new Float32Array(2 * one.length);
    two.set(one);
    two.set(one.map((v) => -v), one.length);
    const a = (await model.run(one)).outputs;
    const b = (await model.run(two, { keep: ['blocks.3'] })).outputs;
    const small = (await model.run(one.slice(0, 64 * 48 * 3), { shape: [1, 64, 48, 3] })).outputs;
    return {
      shapes: [a.logits.shape, b.logits.shape, b['blocks.3'].shape, small.logits.shape],
      off: Math.max(...a.logits.data.map((v, i) => Math.abs(v - b.logits.data[i]))),
      differs: b.logits.data[0] !== b.logits.data[1000],
      classes: (await model.classify(two)).length,
    };
  });
  assert.deepEqual(result.shapes, [[1, 1, 1, 1000], [2, 1, 1, 1000], [2, 14, 14, 80], [1, 1, 1, 1000]]);
  assert.ok(result.off < 1e-4 && result.differs);
  assert.equal(result.classes, 2);
});

test('a batch of pictures of different sizes', async () => {
  const { classes, off } = await page.evaluate(async () => {
    const cat = await (await fetch('/assets/chelsea.png')).blob();
    const both = await model.classify([cat, bitmap]);
    const { outputs } = await model.run([bitmap, cat]);
    return { classes: both.map((p) => p[0].label), off: furthest(outputs.logits.data.slice(0, 1000)) };
  });
  assert.deepEqual(classes, ['tiger cat', 'espresso']);
  assert.ok(off < 1e-4, `${off}`);
});

test('many at once give each its own answer', async () => {
  const labels = await page.evaluate(async () => {
    const cat = await (await fetch('/assets/chelsea.png')).blob();
    const answers = await Promise.all([blob, cat, blob, cat].map((picture) => model.classify(picture, { k: 1 })));
    return answers.map(([best]) => best.label);
  });
  assert.deepEqual(labels, ['espresso', 'tiger cat', 'espresso', 'tiger cat']);
});

test('embed', async () => {
  const { length, cosine } = await page.evaluate(async () => {
    const [a, b] = [await model.embed(bitmap), await model.embed(blob)];
    const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0);
    return { length: a.length, cosine: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) };
  });
  assert.equal(length, 1280);
  assert.ok(Math.abs(cosine - 1) < 1e-6);
});

test('in a worker', async () => {
  const answer = await page.evaluate(async () => {
    const worker = new Worker('/pages/worker.js', { type: 'module' });
    const answer = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
      worker.postMessage(blob);
    });
    worker.terminate();
    return answer;
  });
  assert.equal(answer.label, 'espresso');
});

test('on a device of the application, which stays alive', async () => {
  const { label, lost, handler } = await page.evaluate(async () => {
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    const mine = () => {};
    device.onuncapturederror = mine;
    const own = await mbconv.load({ device });
    const [{ label }] = await own.classify(bitmap);
    await own.dispose();
    const lost = await Promise.race([device.lost.then(() => true), new Promise((go) => setTimeout(go, 200, false))]);
    const handler = device.onuncapturederror === mine;
    device.destroy();
    return { label, lost, handler };
  });
  assert.deepEqual({ label, lost, handler }, { label: 'espresso', lost: false, handler: true });
});

test('what is no picture, or nothing to see, is said', async () => {
  const messages = await page.evaluate(async () => {
    const said = async (input, options) => model.run(input, options).then(() => 'no error', (e) => `${e.name}: ${e.message}`);
    const closed = await createImageBitmap(blob);
    closed.close();
    return [
      await said(42),
      await said(new Blob(['no picture'])),
      await said(closed),
      await said(document.createElement('video')),
      await said(new Float32Array(7)),
      await said([]),
    ];
  });
  const wanted = [/BadInputError.*Number/, /ImageError.*decode/, /ImageError.*nothing to see/, /ImageError.*loadeddata/, /BadInputError.*7 values/, /BadInputError.*empty/];
  wanted.forEach((pattern, i) => assert.match(messages[i], pattern));
});
