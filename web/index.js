// The package: models in a browser tab. Documentation is in index.d.ts.

import { countCalls } from './calls.js';
import { openEngine, top } from './engine.js';
import { failure } from './errors.js';
import { fingerprint, outlineOf } from './header.js';
import { pictureOf, sizeOf } from './images.js';
import { read } from './download.js';

// Files beside this one, each written so that bundlers see it.
const defaultNetwork = () => new URL('./efficientnet_lite0.network', import.meta.url);
const imagenetLabels = () => new URL('./imagenet1k_labels.txt', import.meta.url);
const zooModule = () => new URL('./mbconv_zoo.wasm', import.meta.url);
const reference = () => import('./reference.js');

let architectures;

/** The zoo; its script and its module arrive at the same time. */
function zoo() {
  const module = (architectures ??= fetch(zooModule()));
  const started = import('./zoo.js').then((zoo) => zoo.start(module).then(() => zoo));
  Promise.all([module, started]).catch(() => (architectures = undefined));
  return started;
}

/** Weights of the default model. */
export const defaultWeights = () => new URL('./efficientnet_lite0.safetensors', import.meta.url);

/** What the build found out about them: the model, and their fingerprint. */
const DEFAULT = __DEFAULT_MODEL__;

export const models = async () => (await zoo()).models();

export async function load(options = {}) {
  const { weights = defaultWeights(), model, signal, onProgress } = options;
  const isDefault = [options.weights, model, options.config].every((option) => option === undefined);
  signal?.throwIfAborted();
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  // The device opens and the driver compiles while the weights arrive: their header says what for.
  const opening = openEngine(options.device);
  // What is wrong with either is told below.
  opening.then(({ wasm }) => wasm.foresee(options.dtype)).catch(() => {});
  try {
    const { outlined, reading } = readOutlined(weights, both, onProgress);
    const [outline, config, network] = await Promise.all([
      outlined,
      options.config === undefined ? undefined : textOf(options.config, both),
      isDefault ? read(defaultNetwork(), both) : zoo(),
      opening,
    ]);
    // Whoever put other weights there gets the model that these are of.
    const known = isDefault && fingerprint(outline) === DEFAULT.fingerprint;
    const modelKeeping = async (keep) => (await zoo()).modelOf(outline, model, config, keep);
    const facts = known ? { ...DEFAULT.model, network } : await modelKeeping([]);
    return await build(await opening, options, { name: outline.name, reading }, facts, modelKeeping);
  } catch (error) {
    stop.abort(error);
    // Whatever failed, nobody holds the device any more.
    opening.then((engine) => engine.release(), () => {});
    throw signal?.aborted ? signal.reason : error;
  }
}

export async function syntheticWeights(model) {
  return (await reference()).syntheticWeights(model);
}

/** The bytes of a file, and what they are for, known before the last of them. */
function readOutlined(weights, signal, onProgress) {
  let reading;
  const outlined = new Promise((found, lost) => {
    let outline;
    const onBytes = (...file) => {
      outline ??= outlineOf(...file);
      if (outline) found(outline);
    };
    reading = read(weights, signal, { onProgress, onBytes });
    reading.catch(lost);
  });
  return { outlined, reading };
}

async function build(engine, { labels, signal, dtype }, file, { network, ...model }, modelKeeping) {
  let inner;
  try {
    const loading = engine.guard(() => engine.wasm.load(network, file.name, file.reading, dtype));
    [inner] = await Promise.all([loading, file.reading]);
    signal?.throwIfAborted();
    const facts = { ...model, ...inner.describe(1) };
    const names = await labelsOf(labels ?? facts.labels, facts.classes, signal);
    if (!names || names.length === facts.classes) return new Model(engine, inner, facts, names, dtype, modelKeeping);
    throw failure('BadInputError', `${names.length} labels, but the model has ${facts.classes} classes`);
  } catch (error) {
    inner?.free();
    throw error;
  }
}

async function textOf(source, signal) {
  if (typeof source === 'object' && source instanceof Blob) return source.text();
  if (typeof source === 'string' && source.trimStart().startsWith('{')) return source;
  if (typeof source === 'string' || source instanceof URL) {
    return new TextDecoder().decode(await read(source, signal));
  }
  return JSON.stringify(source);
}

let imagenet;

async function labelsOf(given, classes, signal) {
  if (Array.isArray(given)) return given;
  if (given === undefined || given === null) {
    if (classes !== 1000) return undefined;
    imagenet ??= read(imagenetLabels()).catch((error) => {
      imagenet = undefined;
      throw error;
    });
    given = new TextDecoder().decode(await imagenet);
    return given.trimEnd().split('\n');
  }
  const text = await textOf(given, signal);
  return text.trimStart().startsWith('[') ? JSON.parse(text) : text.trimEnd().split(/\r?\n/);
}

export class Model {
  #engine;
  #inner;
  #facts;
  #labels;
  #dtype;
  #modelKeeping;
  /** With further outputs, by their names. */
  #keeping = new Map();
  #running = new Set();
  #disposed;

  constructor(engine, inner, facts, labels, dtype, modelKeeping) {
    this.#engine = engine;
    this.#inner = inner;
    this.#facts = facts;
    this.#labels = labels;
    this.#dtype = dtype;
    this.#modelKeeping = modelKeeping;
  }

  get name() {
    return this.#facts.name;
  }

  get classes() {
    return this.#facts.classes;
  }

  get adapter() {
    return this.#engine.facts();
  }

  get device() {
    return this.#engine.device;
  }

  get lost() {
    return this.#engine.device.lost;
  }

  label(index) {
    return this.#labels?.[index] ?? `class ${index}`;
  }

  warmUp(batch = 1) {
    return this.#do((inner) => inner.warm_up(batch));
  }

  async classify(input, { k = 5, signal } = {}) {
    const { outputs, single } = await this.#infer(input, [], signal);
    const { data, shape } = outputs.get('logits');
    const rows = Array.from({ length: shape[0] }, (_, i) => {
      const best = top(data.subarray(i * this.classes, (i + 1) * this.classes), k);
      return Array.from({ length: best.length / 2 }, (_, j) => ({
        index: best[2 * j],
        label: this.label(best[2 * j]),
        probability: best[2 * j + 1],
      }));
    });
    return single ? rows[0] : rows;
  }

  async embed(input, { signal } = {}) {
    const { outputs, single } = await this.#infer(input, [], signal);
    const { data, shape } = outputs.get('embedding');
    const rows = Array.from({ length: shape[0] }, (_, i) => data.slice(i * shape[3], (i + 1) * shape[3]));
    return single ? rows[0] : rows;
  }

  async run(input, { keep = [], shape, signal } = {}) {
    const { outputs, ms, gpuMs } = await this.#infer(input, keep, signal, shape);
    return { outputs: Object.fromEntries(outputs), ms, gpuMs };
  }

  describe(batch = 1) {
    this.#check();
    return structuredClone({ ...this.#facts, ...(batch === 1 ? {} : this.#inner.describe(batch)) });
  }

  async profile(input) {
    const picture = await pictureOf(input);
    const size = sizeOf(picture);
    const calls = countCalls();
    try {
      this.#engine.probe(picture);
      return await this.#do(async (inner) => {
        await inner.run_images([picture], size);
        calls.start();
        const start = performance.now();
        await inner.run_images([picture], size);
        const total = performance.now() - start;
        const border = calls.stop();
        const [upload, compute, readback] = await inner.phases(picture, size);
        const { ms, gpuClock } = await inner.profile(1);
        const steps = this.#facts.steps.map((step, i) => ({ ...step, ms: ms[i] }));
        return { ms: total, phases: { upload, compute, readback }, border, gpuClock, steps };
      });
    } finally {
      calls.stop();
      if (picture !== input) picture.close?.();
    }
  }

  async verify({ input, shape, onStep } = {}) {
    const [n, h, w, c] = this.#facts.input;
    const dimensions = shape ?? [n, h, w, c];
    const values = input ?? noise(dimensions.reduce((a, b) => a * b, 1));
    this.#check();
    const { checkWith } = await reference();
    return this.#do((inner) =>
      checkWith(this.#engine, { arch: this.name, bytes: inner.checkpoint(), dtype: this.#dtype }, values, dimensions, onStep),
    );
  }

  async dispose() {
    if (this.#disposed) return this.#disposed;
    this.#disposed = (async () => {
      await Promise.allSettled(this.#running);
      const others = await Promise.allSettled(this.#keeping.values());
      [this.#inner, ...others.map(({ value }) => value)].forEach((inner) => inner?.free());
      this.#engine.release();
    })();
    return this.#disposed;
  }

  #check() {
    if (this.#disposed) throw failure('DisposedError', `${this.name} was disposed of: load it again`);
  }

  async #do(work) {
    this.#check();
    const running = this.#engine.guard(() => work(this.#inner));
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #infer(input, keep, signal, shape) {
    signal?.throwIfAborted();
    this.#check();
    if (input instanceof Float32Array) {
      const dimensions = shape ?? this.#shapeOf(input);
      const flat = await this.#do(async (inner) => (keep.length ? await this.#with(keep) : inner).run(input, dimensions));
      return { ...unpack(flat), single: dimensions[0] === 1 };
    }
    if (keep.length) throw failure('BadInputError', 'keep: only with a Float32Array input; see describe() for its shape');
    const single = !Array.isArray(input);
    const given = single ? [input] : input;
    if (!given.length) throw failure('BadInputError', 'input: an empty list');
    const pictures = await Promise.all(given.map(pictureOf));
    try {
      signal?.throwIfAborted();
      const sizes = pictures.flatMap(sizeOf);
      pictures.forEach((picture) => this.#engine.probe(picture));
      const flat = await this.#do((inner) => inner.run_images(pictures, sizes));
      return { ...unpack(flat), single };
    } finally {
      pictures.forEach((picture, i) => picture !== given[i] && picture.close?.());
    }
  }

  /** The model with the values of these names among its outputs. */
  #with(keep) {
    const names = keep.join();
    if (!this.#keeping.has(names)) {
      const made = this.#modelKeeping(keep).then(({ network }) => this.#inner.with_network(network));
      made.catch(() => this.#keeping.delete(names));
      this.#keeping.set(names, made);
    }
    return this.#keeping.get(names);
  }

  #shapeOf(input) {
    const [, h, w, c] = this.#facts.input;
    const n = input.length / (h * w * c);
    if (Number.isInteger(n) && n > 0) return [n, h, w, c];
    throw failure('BadInputError', `input: ${input.length} values are no batch of ${h} x ${w} x ${c} (H, W, C): say its shape`);
  }
}

function unpack([ms, gpuMs, ...rest]) {
  const outputs = new Map();
  for (let i = 0; i < rest.length; i += 3) outputs.set(rest[i], { shape: rest[i + 1], data: rest[i + 2] });
  return { outputs, ms, gpuMs: gpuMs < 0 ? undefined : gpuMs };
}

/** The same numbers in -1 to 1 each time, so that a verification can be repeated. */
function noise(length) {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
