// The device and the wasm module on it.

import init, { Engine as Inner, top } from './build/mbconv.js';
import { failure } from './errors.js';
import { handOver, isLost } from './device.js';
import { loader } from './module.js';

const start = loader(init, new URL('./mbconv.wasm', import.meta.url));

/** The most probable classes of logits; only after an engine was opened. */
export { top };

const engines = new Map();
let own;

/** The engine on `device`, or on a device of our own that all models share. Each call wants a `release`. */
export async function openEngine(device) {
  if (!device) {
    // A device that was lost or given up is not opened again.
    const known = await own?.catch(() => undefined);
    if (!known || known.ended) own = create();
    const opening = own;
    try {
      return (await opening).hold();
    } catch (error) {
      if (own === opening) own = undefined;
      throw error;
    }
  }
  const known = engines.get(device);
  if (known && !known.ended) return known.hold();
  await start();
  const adapter = { info: device.adapterInfo ?? {}, features: device.features, limits: device.limits };
  const engine = new Engine(device, adapter, await handOver(device, adapter, () => Inner.open()), false);
  engines.set(device, engine);
  return engine.hold();
}

async function create() {
  const [{ device, adapter }] = await Promise.all([openDevice(), start()]);
  return new Engine(device, adapter, await handOver(device, adapter, () => Inner.open()), true);
}

async function openDevice() {
  const gpu = globalThis.navigator?.gpu;
  if (!gpu) {
    const why = globalThis.isSecureContext === false ? 'this page is not served over https' : 'this browser has no WebGPU';
    throw failure('NoWebGpuError', `${why}: use a current Chrome, Edge, Firefox or Safari, over https`);
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) {
    throw failure('NoAdapterError', 'the browser offers no GPU: switch on hardware acceleration, or update the graphics driver');
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  try {
    const device = await adapter.requestDevice({
      label: 'mbconv',
      requiredFeatures: ['timestamp-query', 'subgroups'].filter((f) => adapter.features.has(f)),
      requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
    });
    device.addEventListener('uncapturederror', (event) => console.error(`mbconv: ${event.error.message}`));
    return { device, adapter };
  } catch (error) {
    throw failure('NoAdapterError', `the GPU refused a device (${error.message}): close other tabs that use it`, error);
  }
}

class Engine {
  #holders = 0;
  ended = false;

  constructor(device, adapter, inner, ours) {
    this.device = device;
    this.adapter = adapter;
    this.wasm = inner;
    this.ours = ours;
    device.lost.then(() => (this.ended = true));
  }

  hold() {
    this.#holders += 1;
    return this;
  }

  release() {
    this.#holders -= 1;
    if (this.#holders > 0 || this.freed) return;
    this.freed = this.ended = true;
    this.wasm.free();
    engines.delete(this.device);
    if (this.ours) this.device.destroy();
  }

  /** Throws where WebGPU may not read `picture`: inside of wasm, that would be the end of the module. */
  probe(picture) {
    const usage = GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
    this.pixel ??= this.device.createTexture({ label: 'probe', size: { width: 1, height: 1 }, format: 'rgba8unorm', usage });
    try {
      this.device.queue.copyExternalImageToTexture({ source: picture }, { texture: this.pixel }, [1, 1]);
    } catch (error) {
      throw failure('ImageError', `the picture cannot be read: ${error.message}`, error);
    }
  }

  facts() {
    const { vendor = '', architecture = '', description = '' } = this.adapter.info;
    return { vendor, architecture, description, ...this.wasm.facts() };
  }

  /** Work on the device; what fails because it went says so. */
  async guard(work) {
    try {
      return await work();
    } catch (error) {
      const why = await isLost(this.device);
      if (!why || error.name === 'DeviceLostError') throw error;
      throw failure('DeviceLostError', `the GPU device was lost (${why}): load the model again`, error);
    }
  }
}
