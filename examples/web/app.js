// The page: one model, one picture or camera, and tables about them. The package does the work.

import { load, models } from './mbconv/index.js';

const $ = (id) => document.getElementById(id);
const SAMPLES = [
  ['assets/coffee.png', 'a cup of coffee'],
  ['assets/chelsea.png', 'a cat'],
  ['assets/china.jpg', 'a pavilion'],
  ['assets/grace_hopper.jpg', 'Grace Hopper in uniform'],
];
const NEEDS_MODEL = ['webcam', 'weights', 'architecture', 'default', 'profile', 'verify'];

/** What the page shows now. */
const state = { model: undefined, chosen: {}, picture: undefined, loading: undefined, camera: undefined };

start();

async function start() {
  for (const [address, text] of SAMPLES) addSample(address, text);
  listen();
  showResults([]);
  await loadModel({});
  if (state.model) await show(SAMPLES[0][0], SAMPLES[0][1]);
}

// Model

/** Loads with `options` of `load`; the model that was there stays until the new one is. */
async function loadModel(options) {
  state.loading?.abort();
  const loading = (state.loading = new AbortController());
  busy(true, 'Starting…');
  $('cancel').hidden = !state.model;
  try {
    const model = await load({ ...options, signal: loading.signal, onProgress });
    busy(true, 'Compiling kernels…');
    await model.warmUp();
    if (loading.signal.aborted) return void model.dispose();
    const before = state.model;
    Object.assign(state, { model, chosen: options });
    before?.dispose();
    notice();
    showModel();
    watch(model);
    if (state.picture) await classify();
  } catch (error) {
    if (!loading.signal.aborted) explain(error);
  } finally {
    if (state.loading === loading) busy(false);
  }
}

function onProgress({ loaded, total }) {
  $('progress-text').textContent = `Weights: ${(loaded / 1e6).toFixed(1)}${total ? ` of ${(total / 1e6).toFixed(1)}` : ''} MB`;
  if (total) $('progress').value = loaded / total;
  else $('progress').removeAttribute('value');
}

function busy(on, text) {
  $('loading').hidden = !on;
  if (text) $('progress-text').textContent = text;
  $('progress').removeAttribute('value');
  for (const id of NEEDS_MODEL) $(id).disabled = on || !state.model;
  $('webcam').disabled ||= !navigator.mediaDevices?.getUserMedia;
}

/** Builds everything again when the device goes, without a reload. */
async function watch(model) {
  await model.lost;
  if (state.model !== model) return;
  state.model = undefined;
  notice('The GPU was lost (a driver update, or it was too busy).', 'Loading the model again…');
  await loadModel(state.chosen);
}

function showModel() {
  const { name, input, classes, counters } = state.model.describe();
  const million = (n) => (n / 1e6).toFixed(0);
  $('model-facts').textContent =
    `${name}: ${input[1]} x ${input[2]} pixels, ${classes} classes, ${(counters.weight_bytes / 1e6).toFixed(1)} MB of weights, ` +
    `${million(counters.madds)} million multiply-adds in ${counters.dispatches} dispatches`;
  showLayers();
  showAdapter();
}

async function fillArchitectures() {
  if ($('architecture').length > 1) return;
  for (const { name } of await models()) $('architecture').add(new Option(name, name));
}

// Pictures

function addSample(address, text) {
  const button = document.createElement('button');
  button.type = 'button';
  button.setAttribute('aria-pressed', 'false');
  const image = Object.assign(new Image(), { src: address, alt: `Sample: ${text}` });
  button.append(image);
  button.addEventListener('click', () => show(address, text));
  $('samples').append(button);
}

/** Shows a picture (an address or a file) and classifies it. */
async function show(source, text) {
  stopCamera();
  const address = source instanceof Blob ? URL.createObjectURL(source) : source;
  const image = $('picture');
  if (image.src.startsWith('blob:')) URL.revokeObjectURL(image.src);
  Object.assign(image, { src: address, alt: text, hidden: false });
  $('hint').hidden = true;
  $('stage').classList.add('filled');
  for (const button of $('samples').children) {
    button.setAttribute('aria-pressed', String(button.firstChild.getAttribute('src') === source));
  }
  state.picture = source instanceof Blob ? source : image;
  if (state.model) await classify();
}

async function classify() {
  const { model, picture } = state;
  try {
    const begin = performance.now();
    const best = await model.classify(picture);
    if (picture !== state.picture) return;
    notice();
    showResults(best);
    $('timing').textContent = `${(performance.now() - begin).toFixed(0)} ms, decoding and resizing included`;
  } catch (error) {
    if (error.name !== 'DeviceLostError') explain(error);
  }
}

function showResults(best) {
  const rows = best.length ? best : Array.from({ length: 5 }, () => ({ label: '…', probability: 0 }));
  const list = $('results');
  while (list.children.length < rows.length) list.append(item());
  rows.forEach(({ label, probability }, i) => {
    const [name, share] = list.children[i].children;
    name.textContent = label;
    share.textContent = best.length ? `${(100 * probability).toFixed(1)} %` : '';
    list.children[i].style.setProperty('--share', probability);
  });
}

function item() {
  const li = document.createElement('li');
  li.append(document.createElement('span'), document.createElement('span'));
  return li;
}

// Camera

async function startCamera() {
  const video = $('camera');
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    await video.play();
  } catch (error) {
    return explain(Object.assign(new Error(`${error.message}: allow the camera in the address bar`), { name: 'The camera did not start' }));
  }
  $('picture').hidden = $('hint').hidden = true;
  video.hidden = false;
  $('webcam').setAttribute('aria-pressed', 'true');
  $('webcam').textContent = 'Stop the camera';
  const camera = (state.camera = {});
  state.picture = video;
  let times = [];
  while (state.camera === camera) {
    const { model } = state;
    if (model) {
      try {
        showResults(await model.classify(video));
      } catch (error) {
        if (error.name !== 'DeviceLostError' && error.name !== 'DisposedError') return explain(error), stopCamera();
      }
      times = [...times.slice(-10), performance.now()];
      const span = times.at(-1) - times[0];
      if (span) $('timing').textContent = `${((1e3 * (times.length - 1)) / span).toFixed(1)} frames a second`;
    }
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  if (!state.camera) return;
  state.camera = undefined;
  const video = $('camera');
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.hidden = true;
  $('webcam').setAttribute('aria-pressed', 'false');
  $('webcam').textContent = 'Use the camera';
  $('picture').hidden = !$('picture').src;
  state.picture = $('picture').src ? $('picture') : undefined;
}

// Tables

function showLayers({ times = [], checks = [] } = {}) {
  const ofStep = new Map();
  for (const check of checks.slice(0, -1)) {
    const share = check.relL2 / check.bound;
    // A squeeze is a second result of its step: the worse counts.
    if (!(share <= ofStep.get(check.step)?.share)) ofStep.set(check.step, { share, passes: check.passes });
  }
  const rows = state.model.describe().steps.map((step, i) => {
    const row = document.createElement('tr');
    const error = ofStep.get(i);
    cell(row, step.label);
    cell(row, step.shape);
    const [shader, ...constants] = step.kernel.split(':');
    cell(row, shader, '', constants.length ? constants.join(' ') : undefined);
    cell(row, (step.bytes / 1e3).toFixed(0), 'number');
    cell(row, times[i] === undefined ? '' : times[i].toFixed(2), 'number');
    cell(row, error ? `${(100 * error.share).toFixed(0)} % ${error.passes ? '✓' : '✗'}` : '', `number ${error && (error.passes ? 'good' : 'bad')}`);
    return row;
  });
  $('layers').replaceChildren(...rows);
}

function cell(row, text, classes = '', code) {
  const td = document.createElement('td');
  td.className = classes;
  td.textContent = text;
  if (code) td.append(' ', Object.assign(document.createElement('code'), { textContent: code }));
  row.append(td);
}

async function measure() {
  await table('measuring…', async () => {
    const { ms, phases, border, steps, gpuClock } = await state.model.profile(state.picture ?? $('picture'));
    showLayers({ times: steps.map((s) => s.ms) });
    const total = phases.upload + phases.compute + phases.readback;
    const parts = Object.entries({ 'upload and resize': phases.upload, compute: phases.compute, readback: phases.readback });
    $('shares').hidden = false;
    $('shares-bar').replaceChildren(
      ...parts.map(([, value]) => {
        const part = document.createElement('i');
        part.style.flex = `${value / total} 0 0`;
        return part;
      }),
    );
    const shares = parts.map(([name, value]) => `${name} ${value.toFixed(1)} ms (${((100 * value) / total).toFixed(0)} %)`).join(', ');
    $('shares-bar').setAttribute('aria-label', shares);
    $('shares-text').textContent =
      `${shares}. One whole inference: ${ms.toFixed(1)} ms, ${border.total} calls from wasm into WebGPU ` +
      `(${border.dispatchWorkgroups} dispatches, ${border.setPipeline} changes of pipeline).`;
    return gpuClock ? 'timed by the GPU' : 'timed by the page: this browser hides the GPU’s clock';
  });
}

async function verify() {
  await table('loading the CPU reference…', async () => {
    const onStep = (step, steps) => ($('layers-status').textContent = `layer ${step + 1} of ${steps}…`);
    const { checks, passes } = await state.model.verify({ onStep });
    showLayers({ checks: checks.filter((c) => c.step || c.label !== 'logits') });
    const worst = Math.max(...checks.map((c) => c.relL2 / c.bound));
    return passes
      ? `✓ all ${checks.length} comparisons agree; the worst is at ${(100 * worst).toFixed(0)} % of its bound`
      : `✗ ${checks.filter((c) => !c.passes).length} of ${checks.length} comparisons are over their bound, first ${checks.find((c) => !c.passes).label}`;
  });
}

async function table(text, work) {
  $('layers-status').textContent = text;
  for (const id of ['profile', 'verify']) $(id).disabled = true;
  try {
    $('layers-status').textContent = await work();
  } catch (error) {
    $('layers-status').textContent = '';
    explain(error);
  } finally {
    for (const id of ['profile', 'verify']) $(id).disabled = !state.model;
  }
}

function showAdapter() {
  const { vendor, architecture, description, kernels, timestamps, limits } = state.model.adapter;
  const facts = {
    Name: [vendor, architecture, description].filter(Boolean).join(' ') || 'the browser does not say',
    Kernels: kernels === 'Gpu' ? 'for a GPU' : 'for a CPU that poses as a GPU',
    'GPU clock': timestamps ? 'yes' : 'hidden by the browser',
    'Largest buffer': `${(limits.max_buffer / 2 ** 20).toFixed(0)} MiB`,
    'Largest binding': `${(limits.max_binding / 2 ** 20).toFixed(0)} MiB`,
    'Workgroup memory': `${limits.max_workgroup_bytes / 1024} KiB`,
  };
  $('adapter').replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [
      Object.assign(document.createElement('dt'), { textContent: name }),
      Object.assign(document.createElement('dd'), { textContent: value }),
    ]),
  );
}

// Messages and events

const HEADINGS = {
  NoWebGpuError: 'This browser cannot use your GPU from a page.',
  NoAdapterError: 'The browser found no GPU it wants to use.',
  DownloadError: 'The weights did not arrive.',
  CheckpointError: 'That is not a file of weights.',
  MismatchError: 'These weights belong to another model.',
  ImageError: 'That picture could not be read.',
  LimitError: 'That is too large for this GPU.',
  OutOfMemoryError: 'The GPU has no memory left.',
};

function explain(error) {
  const again = error.name === 'DownloadError' || error.name === 'NoAdapterError';
  notice(HEADINGS[error.name] ?? 'That did not work.', error.message, again);
}

function notice(heading, text, again) {
  const box = $('notice');
  box.hidden = !heading;
  if (!heading) return;
  const line = (content) => Object.assign(document.createElement('p'), { textContent: content });
  box.replaceChildren(line(heading), line(text));
  box.firstChild.style.fontWeight = 600;
  if (again) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Try again' });
    button.addEventListener('click', () => loadModel(state.chosen));
    box.append(button);
  }
}

function listen() {
  $('file').addEventListener('change', (event) => event.target.files[0] && show(event.target.files[0], 'your picture'));
  $('webcam').addEventListener('click', () => (state.camera ? stopCamera() : startCamera()));
  $('profile').addEventListener('click', measure);
  $('verify').addEventListener('click', verify);
  $('cancel').addEventListener('click', () => {
    state.loading?.abort();
    busy(false);
  });
  $('default').addEventListener('click', () => loadModel({}));
  $('weights').addEventListener('change', () => fromFiles([...$('weights').files]));
  $('architecture').addEventListener('pointerdown', fillArchitectures);
  $('architecture').addEventListener('focus', fillArchitectures);
  document.addEventListener('paste', (event) => event.clipboardData?.files[0] && show(event.clipboardData.files[0], 'your picture'));
  const stage = $('stage');
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    stage.classList.add('over');
  });
  document.addEventListener('dragleave', () => stage.classList.remove('over'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    stage.classList.remove('over');
    const files = [...event.dataTransfer.files];
    if (files.some((f) => f.name.endsWith('.safetensors'))) fromFiles(files);
    else if (files[0]) show(files[0], 'your picture');
  });
}

function fromFiles(files) {
  const weights = files.find((f) => f.name.endsWith('.safetensors'));
  const config = files.find((f) => f.name.endsWith('.json'));
  if (!weights) return explain({ name: 'CheckpointError', message: 'Choose a .safetensors file (and its config.json).' });
  loadModel({ weights, config, model: $('architecture').value || undefined });
}
