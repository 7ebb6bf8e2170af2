/**
 * Mobile convnets in a browser tab, on the GPU through WebGPU, in the page or in a worker.
 *
 * ```js
 * import { load } from 'mbconv';
 * const model = await load();                                  // EfficientNet-Lite0, ImageNet
 * for (const { label, probability } of await model.classify(document.querySelector('img'))) {
 *   console.log(label, probability);
 * }
 * ```
 *
 * Errors are `Error`s whose `name` says which kind: `NoWebGpuError`, `NoAdapterError`, `DeviceLostError`,
 * `DownloadError`, `CheckpointError` (not a readable safetensors file), `MismatchError` (weights of another model),
 * `UnknownNameError`, `BadInputError`, `ImageError`, `LimitError`, `OutOfMemoryError`, `DisposedError`, `GpuError`.
 * Messages say what to do next.
 */

/** What can be looked at. The GPU resizes, crops and normalises it, as the model's authors did when they trained. */
export type Picture =
  | HTMLImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | VideoFrame
  | ImageBitmap
  | ImageData
  | OffscreenCanvas
  | Blob;

/** Where bytes come from. A string is an address. */
export type Source = string | URL | Blob | ArrayBuffer | ArrayBufferView | Response | ReadableStream<Uint8Array>;

/** How far a download is. */
export interface Progress {
  /** Bytes that arrived. */
  loaded: number;
  /** Bytes there are, where the server says so. */
  total?: number;
}

export interface LoadOptions {
  /** A safetensors file; without it the default, EfficientNet-Lite0 with ImageNet weights (9 MB). */
  weights?: Source;
  /** A registered model (see {@link models}); without it what `config` or the file itself says, or what its tensors fit. */
  model?: string;
  /** timm's `config.json`: its text, its address, a `Blob` or the parsed object. Brings architecture, preprocessing, labels. */
  config?: string | URL | Blob | object;
  /** How weights and activations are stored on the GPU (default `'f32'`); `'f16'` halves their memory. Arithmetic is f32. */
  dtype?: 'f32' | 'f16';
  /** Names of the classes: a list, or a text with one a line or a JSON list. ImageNet's for 1000 classes if left out. */
  labels?: string[] | string | URL | Blob;
  /**
   * A device of your own, with at least WebGPU's default limits; with the feature `subgroups` SwiftShader is faster. It stays
   * yours: it is never destroyed.
   */
  device?: GPUDevice;
  /** Called as the weights arrive. */
  onProgress?: (progress: Progress) => void;
  /** Stops the loading; the promise is rejected with its reason. */
  signal?: AbortSignal;
}

/** Loads a model onto the GPU. Models that bring no device share one. */
export function load(options?: LoadOptions): Promise<Model>;

/** Address of the default weights. */
export function defaultWeights(): URL;

export interface ModelInfo {
  name: string;
  family: string;
  /** Native edge of the square input. */
  resolution: number;
  /** Where it was published. */
  cite: string;
  /** Parameters and multiply-adds in millions, ImageNet top-1 in percent (of classifiers), as published. */
  published?: { params: number; madds: number; top1: number | null };
}

/** Every model that can be loaded. */
export function models(): Promise<ModelInfo[]>;

/** A model's weights made by a rule, as a safetensors file: for measuring and for trying things. */
export function syntheticWeights(model: string): Promise<Uint8Array>;

export interface Prediction {
  /** Place in the logits. */
  index: number;
  label: string;
  /** Softmax probability. */
  probability: number;
}

export interface Tensor {
  /** `[N, H, W, C]`. */
  shape: number[];
  /** Row by row, channels last. */
  data: Float32Array;
}

export interface RunResult {
  /** `logits`, `embedding` and every value of `keep`. */
  outputs: Record<string, Tensor>;
  /** From the submission to the outputs. */
  ms: number;
  /** On the GPU, where it tells. */
  gpuMs?: number;
}

export interface Step {
  /** Module of the network. */
  label: string;
  /** `<shader>.<dtype>[:<CONSTANT>=<value>]*` */
  kernel: string;
  /** Workgroups in x, y, z. */
  grid: [number, number, number];
  /** Shape of the result, `NxHxWxC`. */
  shape: string;
  /** Bytes read and written. */
  bytes: number;
  /** Multiply-adds. */
  madds: number;
}

export interface Description {
  name: string;
  family: string;
  cite: string;
  /** `[N, H, W, C]` */
  input: [number, number, number, number];
  classes: number;
  preprocess: { size: [number, number]; crop_pct: number; crop_mode: string; interpolation: string; mean: number[]; std: number[] };
  counters: { dispatches: number; pipelines: number; bytes_moved: number; weight_bytes: number; intermediate_bytes: number; madds: number };
  /** One a dispatch, in order. */
  steps: Step[];
}

export interface Profile {
  /** One whole inference, from the picture to the outputs. */
  ms: number;
  /** The same in phases that wait for each other: picture to network input, network, outputs. */
  phases: { upload: number; compute: number; readback: number };
  /** Calls from wasm into WebGPU for one inference, by name, and their sum `total`. */
  border: Record<string, number>;
  /** Whether `steps` were timed by the GPU; otherwise by the clock of the page, which is coarse. */
  gpuClock: boolean;
  steps: (Step & { ms: number })[];
}

export interface Check {
  step: number;
  label: string;
  kernel: string;
  shape: string;
  maxAbs: number;
  /** `|gpu - cpu| / |cpu|` */
  relL2: number;
  /** What rounding can explain. */
  bound: number;
  passes: boolean;
}

export interface Verification {
  checks: Check[];
  /** Whether every check passes. */
  passes: boolean;
}

export interface Adapter {
  vendor: string;
  architecture: string;
  description: string;
  /** Which kernels were chosen: `Gpu`, `SwiftShader` or `Software`. */
  kernels: string;
  /** Pipelines compiled so far. */
  pipelines: number;
  timestamps: boolean;
  /** Memory of the wasm module, weights included. */
  wasmBytes: number;
  f16: boolean;
  limits: { max_buffer: number; max_binding: number; max_workgroups: number; max_invocations: number; max_workgroup_bytes: number };
}

/** A model on a device. Calls may overlap. */
export class Model {
  private constructor();
  readonly name: string;
  readonly classes: number;
  readonly adapter: Adapter;
  readonly device: GPUDevice;
  /** Settles when the device is lost; the model is then of no more use and is to be loaded again. */
  readonly lost: Promise<GPUDeviceLostInfo>;

  /** Name of a class. */
  label(index: number): string;

  /** Compiles for batches of `batch` pictures, so that the first result comes as fast as the next. */
  warmUp(batch?: number): Promise<void>;

  /** The `k` (5) most probable classes. A `Float32Array` is a normalised input `[N, H, W, C]` of the model's size. */
  classify(input: Picture | Float32Array, options?: { k?: number; signal?: AbortSignal }): Promise<Prediction[]>;
  classify(input: Picture[], options?: { k?: number; signal?: AbortSignal }): Promise<Prediction[][]>;

  /** The pooled features before the classifier. */
  embed(input: Picture | Float32Array, options?: { signal?: AbortSignal }): Promise<Float32Array>;
  embed(input: Picture[], options?: { signal?: AbortSignal }): Promise<Float32Array[]>;

  /**
   * All outputs as they are. For a `Float32Array` of another size than the model's give its `shape` `[N, H, W, C]`;
   * `keep` names further values (`conv_stem`, `blocks.3`, ...) that are then computed and brought back; the first call for
   * these names loads the architectures' module and uploads the weights once more.
   */
  run(
    input: Picture | Picture[] | Float32Array,
    options?: { shape?: number[]; keep?: string[]; signal?: AbortSignal },
  ): Promise<RunResult>;

  /** Architecture, preprocessing and every dispatch for a batch of `batch`. */
  describe(batch?: number): Description;

  /** Where the time goes for a picture. */
  profile(input: Picture): Promise<Profile>;

  /**
   * Compares every dispatch, and then the whole network, with a CPU reference in wasm (loaded now). Slow: a CPU does
   * the work twice. A smaller `shape` is quicker; without `input` it is noise.
   */
  verify(options?: {
    input?: Float32Array;
    shape?: number[];
    onStep?: (step: number, steps: number) => void;
  }): Promise<Verification>;

  /** Frees everything on the GPU, after what is running. */
  dispose(): Promise<void>;
}
