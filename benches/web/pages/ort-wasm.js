import * as ort from 'onnxruntime-web/wasm';
import { session } from './ort.js';

export const prepare = (folder) => session(ort, folder, 'wasm');
