import * as ort from 'onnxruntime-web/webgpu';
import { session } from './ort.js';

export const prepare = (folder) => session(ort, folder, 'webgpu');
